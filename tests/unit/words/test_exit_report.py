"""Why containers ended, in sentences."""

from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import (
    CheckHealth,
    EndRequest,
    ExitReport,
    Health,
    HealthResult,
    RestartPolicy,
    RestartState,
)
from scow.words.exit_report import sentences

_SECOND = 10**9
_NOW = 1000 * _SECOND


def ended(code: int = 0, report: ExitReport | None = None, **fields: Any) -> pb.Container:
    found = pb.Container(name="web", status=pb.STATUS_EXITED, exit_code=code, **fields)
    found.finished_at.FromNanoseconds(_NOW - 3 * _SECOND)
    found.exit_report.CopyFrom(report or ExitReport())
    return found


def said(container: pb.Container, *lines: str) -> str:
    return "\n".join(sentences(container, lines, _NOW))


def test_an_end_of_its_own() -> None:
    report = ExitReport(duration=90 * _SECOND, peak_memory=3 << 20, cpu=_SECOND // 4)
    assert said(ended(3, report), "bye") == (
        "web ended 3 seconds ago with exit code 3, after it ran for about a minute.\n"
        "Its program ended by itself.\n"
        "It used 3MiB of memory at most, and 0.25 seconds of processor time.\n"
        "The last lines of its log:\n  bye"
    )
    assert "its command does not exist" in said(ended(127))


def test_who_asked() -> None:
    asked = EndRequest(action="stop", actor="uid 0", request_id="r1", signal=15)
    text = said(ended(137, ExitReport(signal=9), end_request=asked))
    assert "uid 0 asked for its end by signal 15 (SIGTERM) at " in text
    assert "in request r1." in text
    assert "did not end in time, and was killed" in text
    text = said(ended(137, ExitReport(signal=9), end_request=EndRequest(action="health", signal=9)))
    assert "The engine asked for its end, since it was unhealthy by signal 9 (SIGKILL)" in text
    assert "in time" not in text
    assert "nobody sent through the engine" in said(ended(139, ExitReport(signal=11)))


def test_who_had_no_memory() -> None:
    config = pb.ContainerConfig(resources=pb.Resources(memory=64 << 20))
    report = ExitReport(signal=9, oom_kills=1, oom_level="container", oom_victim="init")
    text = said(ended(137, report, oom_killed=True, config=config))
    assert (
        "The kernel killed its first process for want of memory: its own limit of 64MiB was reached."
        in text
    )
    assert "nobody sent" not in text
    report = ExitReport(oom_kills=2, oom_level="host", oom_victim="other")
    text = said(ended(1, report, oom_killed=True))
    assert "killed 2 of its processes for want of memory: the machine, or" in text


def test_health_and_restarts() -> None:
    config = pb.ContainerConfig(
        restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=3)
    )
    log = [HealthResult(exit_code=1, output="not\nwell", check="tcp:80")]
    checks = [
        CheckHealth(check="command", failing_streak=9),
        CheckHealth(check="tcp:80", failing_streak=4),
    ]
    health = Health(failing_streak=9, checks=checks, log=log)
    text = said(ended(1, config=config, health=health, restart_count=3))
    assert "Its check tcp:80 failed 4 times in a row, the last time with: not well." in text
    assert "Its restart policy on-failure:3 restarted it 3 times." in text
    health.checks[1].failing_streak = 1
    text = said(ended(1, config=config, health=health, restart_count=1))
    assert "Its check tcp:80 failed once, with: not well." in text
    assert "restarted it once." in text
    health.checks[1].failing_streak = 0
    assert "failed" not in said(ended(1, config=config, health=health)), "it was well since"
    text = said(ended(1, config=config, restart=RestartState(stopped=True)))
    assert "rests because it was stopped" in text
    waits = ended(1, config=config)
    waits.restart.due_at.FromNanoseconds(_NOW + 2 * _SECOND)
    assert "the next time in 2.0 seconds" in said(waits)


def test_one_that_has_not_ended() -> None:
    assert said(pb.Container(name="web")) == "web was never started."
    failed = pb.Container(name="web", error="no such file", exit_code=127)
    assert said(failed) == "web could not be started (exit code 127): no such file."
    runs = pb.Container(name="web", pid=5)
    runs.started_at.FromNanoseconds(_NOW - 5 * _SECOND)
    assert said(runs) == "web has not ended: it has been running for 5 seconds."
