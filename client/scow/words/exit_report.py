"""Why a container ended, in sentences: from what is on record of it, and its last log lines."""

from __future__ import annotations

import time

from scow.words.shapes.common import nanoseconds
from scow.words.times import local_date
from scow.words.units import binary_size, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scow.api.container.v1 import container_pb2 as pb

_CODES = {
    125: "the engine could not start it",
    126: "its command cannot be executed",
    127: "its command does not exist",
    255: "nobody saw how",
}
_KILL = 9
# Of the output of a check that failed.
_OUTPUT_MAX = 200


def sentences(container: pb.Container, lines: Sequence[str] = (), now: int = 0) -> list[str]:
    """Return why a container ended, each a sentence.

    Args:
        container: As Get describes it.
        lines: The last that it logged.
        now: Nanoseconds since 1970; 0 means now.
    """
    now = now or time.time_ns()
    found = [_headline(container, now)]
    if not container.pid and nanoseconds(container, "finished_at") > 0:
        found += [*_cause(container), *_used(container)]
    found += [*_health(container), *_restarts(container, now)]
    if lines:
        found.append("The last lines of its log:")
        found += [f"  {line}" for line in lines]
    return found


def _headline(container: pb.Container, now: int) -> str:
    name = container.name
    if container.pid:
        return (
            f"{name} has not ended: it has been running for {_ago(container, 'started_at', now)}."
        )
    if nanoseconds(container, "finished_at") <= 0:
        if container.error:
            code = container.exit_code
            return f"{name} could not be started (exit code {code}): {container.error}."
        return f"{name} was never started."
    ended = f"{name} ended {_ago(container, 'finished_at', now)} ago"
    ran = container.exit_report.duration
    after = f", after it ran for {_span(ran)}" if ran else ""
    return f"{ended} with exit code {container.exit_code}{after}."


def _ago(container: pb.Container, field: str, now: int) -> str:
    return human_duration((now - nanoseconds(container, field)) / 1e9).lower()


def _span(ns: int) -> str:
    return f"{ns / 1e6:.0f} ms" if ns < 10**9 else human_duration(ns / 1e9).lower()


def _cause(container: pb.Container) -> Iterator[str]:
    report, asked = container.exit_report, container.end_request
    if container.error:
        yield f"The engine says: {container.error}."
    if container.oom_killed:
        yield _out_of_memory(container)
    if container.HasField("end_request"):
        yield _request(container)
        if asked.signal != _KILL and report.signal == _KILL and not container.oom_killed:
            yield "It did not end in time, and was killed."
    elif report.signal and report.oom_victim != "init":
        yield f"Signal {_signal(report.signal)} ended it, which nobody sent through the engine."
    elif not report.signal and not container.error:
        meaning = _CODES.get(container.exit_code)
        yield f"Its program ended by itself{f': {meaning}' if meaning else ''}."
    if report.forks_refused:
        yield f"Its limit of processes refused {report.forks_refused} of them."


def _out_of_memory(container: pb.Container) -> str:
    report, limit = container.exit_report, container.config.resources.memory
    others = f"{report.oom_kills} of its processes"
    victim = "its first process" if report.oom_victim == "init" else others
    if report.oom_level == "host":
        whose = "the machine, or a group around the container, had none left"
    else:
        whose = "its own limit" + (f" of {binary_size(limit)}" if limit else "") + " was reached"
    return f"The kernel killed {victim} for want of memory: {whose}."


def _request(container: pb.Container) -> str:
    asked = container.end_request
    who = asked.actor or "The engine"
    why = {
        "health": ", since it was unhealthy",
        "restart": " to restart it",
        "remove": " to remove it",
    }.get(asked.action, "")
    request = f", in request {asked.request_id}" if asked.request_id else ""
    at = local_date(nanoseconds(asked, "time"))
    return f"{who} asked for its end{why} by signal {_signal(asked.signal)} at {at}{request}."


def _signal(number: int) -> str:
    import signal

    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _used(container: pb.Container) -> Iterator[str]:
    report = container.exit_report
    if report.peak_memory or report.cpu:
        memory = f"{binary_size(report.peak_memory)} of memory at most"
        yield f"It used {memory}, and {report.cpu / 1e9:.2f} seconds of processor time."


def _health(container: pb.Container) -> Iterator[str]:
    failed = [result for result in container.health.log if result.exit_code]
    if not failed:
        return
    last = failed[-1]
    output = " ".join(last.output[:_OUTPUT_MAX].split())
    streaks = [c.failing_streak for c in container.health.checks if c.check == last.check]
    streak = max(streaks, default=0)
    if not streak:  # it succeeded since, or its failures do not count yet
        return
    how = f"{_times(streak)} in a row, the last time with" if streak > 1 else "once, with"
    yield f"Its check {last.check} failed {how}: {output}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _restarts(container: pb.Container, now: int) -> Iterable[str]:
    policy, count = container.config.restart_policy, container.restart_count
    if policy.name in ("", "no"):
        return []
    most = f":{policy.maximum_retry_count}" if policy.maximum_retry_count else ""
    text = f"Its restart policy {policy.name}{most} restarted it {_times(count)}"
    if container.restart.HasField("due_at") and not container.pid:
        left = max(0.0, (nanoseconds(container.restart, "due_at") - now) / 1e9)
        return [f"{text}, the next time in {left:.1f} seconds."]
    if container.restart.stopped:
        return [f"{text}, and rests because it was stopped."]
    return [text + "."]
