"""Health checks: commands and probes, what is told of them and done, and that nothing is left of those that hang."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import Dependency, HealthCheck, Probe, RestartPolicy
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import DependencyNotReady, InvalidConfig
from tests.integration.container.node import Node, fails
from tests.integration.container.node import eventually as soon
from tests.support import processes

# On a busy machine a service takes its time to come back.
eventually = partial(soon, seconds=30.0)

_MS = 10**6
# Of probes that hang; SCOW_TEST_PROBES=10000 takes minutes.
_ROUNDS = int(os.environ.get("SCOW_TEST_PROBES", "500"))
_SERVER = "httpd -p 8080 -h /www; sleep 600"
_WEB = ("sh", "-c", f"mkdir -p /www; echo well > /www/ready; {_SERVER}")


def check(*command: str, probes: tuple[Probe, ...] = (), **fields: Any) -> HealthCheck:
    given = {"interval": 50 * _MS, "timeout": 5000 * _MS, "retries": 2, **fields}
    test = ["CMD", *command] if command else []
    return HealthCheck(test=test, probes=probes, **given)


def http(port: int = 8080, path: str = "/ready", kind: str = "") -> Probe:
    return Probe(kind=kind, protocol="http", port=port, target=path)


@pytest.fixture
def run(node: Node) -> Iterator[Callable[..., pb.Container]]:
    made: list[str] = []

    def start(*command: str, **fields: Any) -> pb.Container:
        found = node.create(*command, **fields)
        made.append(found.id)
        node.stub.Start(pb.StartRequest(container=found.id))
        return node.get(found.id)

    yield start
    for each in made:
        node.remove(each)


def health(node: Node, found: pb.Container) -> str:
    return node.get(found.id).health.status


def test_a_command_makes_it_healthy_and_unhealthy(node: Node, run: Any) -> None:
    found = run("sleep", "600", health_check=check("sh", "-c", "echo looks; test ! -e /tmp/ill"))
    assert health(node, found) in ("starting", "healthy")
    eventually(lambda: health(node, found) == "healthy")
    node.exec(found.id, "touch", "/tmp/ill")
    eventually(lambda: health(node, found) == "unhealthy")
    told = node.get(found.id).health
    assert told.failing_streak >= 2
    eventually(lambda: len(node.get(found.id).health.log) == 5)
    last = node.get(found.id).health.log[-1]
    assert (last.exit_code, last.output, last.check) == (1, "looks\n", "command")
    assert last.start.ToNanoseconds() <= last.end.ToNanoseconds()
    node.exec(found.id, "rm", "/tmp/ill")
    eventually(lambda: health(node, found) == "healthy")
    statuses = [a for a in node.actions(found.id, 11) if a.startswith("health")]
    assert statuses[:3] == [f"health_status: {s}" for s in ("healthy", "unhealthy", "healthy")]
    wanted = pb.ListRequest(filters=[Filter(key="health", values=["healthy"])])
    assert found.id in [each.id for each in node.stub.List(wanted).containers]


def test_the_output_that_is_kept_is_bounded(node: Node, run: Any) -> None:
    noisy = check("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; exit 3")
    found = run("sleep", "600", health_check=noisy)
    eventually(lambda: len(node.get(found.id).health.log) == 5)
    last = node.get(found.id).health.log[-1]
    assert (last.exit_code, last.output) == (3, "x" * 4096)


def test_a_command_that_cannot_be_executed(node: Node, run: Any) -> None:
    found = run("sleep", "600", health_check=check("/no/such"))
    eventually(lambda: health(node, found) == "unhealthy")
    last = node.get(found.id).health.log[-1]
    assert last.exit_code == -1
    assert "/no/such" in last.output


def test_failures_in_the_start_period_do_not_count(node: Node, run: Any) -> None:
    slow = check("test", "-e", "/tmp/up", start_period=600 * 10**9, start_interval=20 * _MS)
    found = run("sleep", "600", health_check=slow)
    eventually(lambda: len(node.get(found.id).health.log) == 5)
    told = node.get(found.id).health
    assert (told.status, told.failing_streak) == ("starting", 0)
    node.exec(found.id, "touch", "/tmp/up")
    eventually(lambda: health(node, found) == "healthy")


def test_probes_by_http_and_tcp(node: Node, run: Any) -> None:
    tcp = Probe(protocol="tcp", port=8080)
    found = run(*_WEB, health_check=check(probes=(http(), tcp)))
    eventually(lambda: health(node, found) == "healthy")
    outputs = {each.check: each.output for each in node.get(found.id).health.log}
    # Of the body, what came with the head.
    assert outputs["http:8080/ready"] in ("HTTP 200 OK", "HTTP 200 OK\nwell\n")
    assert outputs["tcp:8080"] == "connected"
    node.exec(found.id, "rm", "/www/ready")
    eventually(lambda: health(node, found) == "unhealthy")
    states = {each.check: each.status for each in node.get(found.id).health.checks}
    assert states == {"http:8080/ready": "unhealthy", "tcp:8080": "healthy"}


def test_a_port_that_nobody_has(node: Node, run: Any) -> None:
    found = run("sleep", "600", health_check=check(probes=(Probe(protocol="tcp", port=1),)))
    eventually(lambda: health(node, found) == "unhealthy")
    assert "refused" in node.get(found.id).health.log[-1].output


def test_kinds_of_probes(node: Node, run: Any) -> None:
    """Until the startup probe succeeds nothing else is made; readiness has no action."""
    startup = http(path="/started", kind="startup")
    ready = http(kind="readiness")
    found = run(
        *_WEB, health_check=check(probes=(startup, ready, http()), retries=100, action="kill")
    )
    eventually(lambda: len(node.get(found.id).health.log) == 5)
    assert {each.check for each in node.get(found.id).health.log} == {"http:8080/started"}
    node.exec(found.id, "touch", "/www/started")
    eventually(lambda: health(node, found) == "healthy")
    shy = run(
        *_WEB, health_check=check(probes=(http(path="/no", kind="readiness"),), action="kill")
    )
    eventually(lambda: health(node, shy) == "unhealthy")
    streak = node.get(shy.id).health.failing_streak
    eventually(lambda: node.get(shy.id).health.failing_streak > streak + 2)
    assert node.get(shy.id).status == pb.STATUS_RUNNING


@pytest.mark.parametrize("action", ["restart", "stop", "kill"])
def test_what_is_done_when_it_is_unhealthy(node: Node, run: Any, action: str) -> None:
    ill = check("test", "!", "-e", "/tmp/ill", action=action)
    found = run("sh", "-c", "rm -f /tmp/ill; exec sleep 600", health_check=ill, stop_timeout=0)
    eventually(lambda: health(node, found) == "healthy")
    pid = node.get(found.id).pid
    node.exec(found.id, "touch", "/tmp/ill")
    if action == "restart":
        eventually(lambda: node.get(found.id).pid not in (0, pid))
        eventually(lambda: health(node, found) == "healthy")
        return
    eventually(lambda: node.get(found.id).status == pb.STATUS_EXITED)
    ended = node.get(found.id)
    assert (ended.exit_code, ended.end_request.action) == (137, "health")
    assert ended.health.status == "unhealthy"
    # The latest round may have been cut short by the end itself.
    assert 1 in [each.exit_code for each in ended.health.log]


def test_a_kill_leads_to_what_the_restart_policy_says(node: Node, run: Any) -> None:
    ill = check("test", "!", "-e", "/tmp/ill", action="kill")
    policy = RestartPolicy(name="always", delay=_MS)
    found = run(
        "sh", "-c", "rm -f /tmp/ill; exec sleep 600", health_check=ill, restart_policy=policy
    )
    eventually(lambda: health(node, found) == "healthy")
    node.exec(found.id, "touch", "/tmp/ill")
    eventually(lambda: node.get(found.id).restart_count == 1)
    eventually(lambda: health(node, found) == "healthy")


def test_the_service_goes_on_checking_after_it_was_killed(node: Node, run: Any) -> None:
    found = run(*_WEB, health_check=check(probes=(http(),)))
    eventually(lambda: health(node, found) == "healthy")
    node.crash()
    assert health(node, found) == "healthy"
    node.exec(found.id, "rm", "/www/ready")
    eventually(lambda: health(node, found) == "unhealthy")


def probers(node: Node) -> list[int]:
    found = processes.children(node.spawner_pid())
    return [pid for pid in found if processes.name(pid) == "scow-prober" and processes.alive(pid)]


def test_one_prober_serves_all_and_is_replaced(node: Node, run: Any) -> None:
    first = run(*_WEB, health_check=check(probes=(http(),)))
    second = run(*_WEB, health_check=check(probes=(http(),)))
    for each in (first, second):
        eventually(lambda found=each: health(node, found) == "healthy")
    [prober] = probers(node)
    processes.kill(prober)
    node.exec(first.id, "rm", "/www/ready")
    eventually(lambda: health(node, first) == "unhealthy")
    assert len(probers(node)) == 1
    for each in (first, second):
        node.stub.Kill(pb.KillRequest(container=each.id))
        node.wait(each.id)
    eventually(lambda: not probers(node))


def tasks(node: Node, found: pb.Container) -> set[str]:
    return {each.values[-1] for each in node.stub.Top(pb.TopRequest(container=found.id)).processes}


def test_nothing_is_left_of_commands_that_hang(node: Node, run: Any) -> None:
    hang = check("sh", "-c", "sleep 701 & sleep 702; true", timeout=40 * _MS, interval=_MS)
    found = run("sleep", "600", health_check=hang)
    eventually(lambda: health(node, found) == "unhealthy")
    eventually(lambda: node.get(found.id).health.failing_streak > 30, seconds=60)
    assert "exceeded timeout" in node.get(found.id).health.log[-1].output
    left = [task for task in tasks(node, found) if "sleep 70" in task]
    assert len(left) <= 3, left
    node.stop("container")
    shim = found.pid
    eventually(lambda: len(_group(shim)) == 1)
    node.start("container")


def _group(pid: int) -> list[str]:
    """Return the PIDs of the container's cgroup."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "pids":
            return Path(f"/sys/fs/cgroup/pids{path}/cgroup.procs").read_text().split()
        if controllers == "" and Path(f"/sys/fs/cgroup{path}/cgroup.procs").exists():
            return Path(f"/sys/fs/cgroup{path}/cgroup.procs").read_text().split()
    raise AssertionError("no cgroup")


def test_nothing_is_left_of_probes_that_hang(node: Node, run: Any) -> None:
    """Somebody listens, and never answers."""
    silent = ("sh", "-c", "httpd -f -p 9000 & sleep 0.2; kill -STOP $!; sleep 600")
    probes = tuple(http(9000, f"/{number}") for number in range(16))
    found = run(*silent, health_check=check(probes=probes, timeout=30 * _MS, interval=_MS))
    eventually(lambda: health(node, found) == "unhealthy")
    # It listens for a moment before it is stopped.
    eventually(lambda: node.get(found.id).health.log[-1].output.endswith("took too long"))
    [prober] = probers(node)
    before = len(list(Path(f"/proc/{prober}/fd").iterdir()))
    wanted = node.get(found.id).health.checks[0].failing_streak + _ROUNDS // 16
    eventually(lambda: node.get(found.id).health.checks[0].failing_streak > wanted, seconds=600)
    assert len(list(Path(f"/proc/{prober}/fd").iterdir())) <= before + 16
    assert node.get(found.id).health.log[-1].output.endswith("took too long")


def test_a_container_waits_for_one_that_is_healthy(node: Node, run: Any) -> None:
    unchecked = run("sleep", "600", name="unchecked")
    with fails(DependencyNotReady) as raised:
        run("true", depends_on=[Dependency(container="unchecked", condition="healthy")])
    assert "nothing of it is checked" in str(raised[0])
    run(*_WEB, name="checked", health_check=check(probes=(http(),)))
    run("true", depends_on=[Dependency(container="checked", condition="healthy")])
    assert health(node, node.get("checked")) == "healthy"
    assert unchecked.health.status == ""


@pytest.mark.parametrize(
    "wrong",
    [
        HealthCheck(test=["SOMETIMES"]),
        HealthCheck(test=["CMD"]),
        HealthCheck(interval=1),
        HealthCheck(retries=-1),
        HealthCheck(action="shout"),
        HealthCheck(probes=[Probe(protocol="smtp", port=25)]),
        HealthCheck(probes=[Probe(protocol="tcp")]),
        HealthCheck(probes=[Probe(protocol="tcp", port=1, address="localhost")]),
        HealthCheck(probes=[Probe(protocol="http", port=1, target="/a b")]),
        HealthCheck(probes=[Probe(protocol="http", port=1, target="/a\r\nX: y")]),
        HealthCheck(probes=[http(), http()]),
    ],
)
def test_what_means_nothing_is_refused(node: Node, wrong: HealthCheck) -> None:
    with fails(InvalidConfig):
        node.create("true", health_check=wrong)
