"""Restart policies: what an exit leads to, also when services are killed between, and with the machine's start."""

import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import Dependency, RestartPolicy
from scow.contract.errors import (
    ContainerNotRunning,
    ContainerRunning,
    DependencyNotReady,
    InvalidConfig,
)
from tests.integration.container.node import Node, fails, in_background, parent
from tests.integration.container.node import eventually as soon
from tests.support import processes
from tests.support.engine import remove_cgroups
from tests.support.processes import PATIENCE

# On a busy machine a service takes its time to come back.
eventually = partial(soon, seconds=30.0)

_HOUR = 3600 * 10**9
# Ends at once when it is started, and counts how often that was.
_FAILS = ("sh", "-c", "echo run; exit 3")


def policy(name: str = "always", most: int = 0, **fields: Any) -> RestartPolicy:
    return RestartPolicy(name=name, maximum_retry_count=most, **{"jitter": 0, **fields})


@pytest.fixture
def container(node: Node) -> Iterator[Callable[..., pb.Container]]:
    made: list[str] = []

    def make(*command: str, **fields: Any) -> pb.Container:
        found = node.create(*command, **fields)
        made.append(found.id)
        return found

    yield make
    there = {found.id for found in node.stub.List(pb.ListRequest(all=True)).containers}
    for each in made:
        if each in there:
            node.remove(each)


def start(node: Node, found: pb.Container) -> None:
    node.stub.Start(pb.StartRequest(container=found.id))


def status(node: Node, found: pb.Container) -> pb.Status.ValueType:
    return node.get(found.id).status


def restarting(node: Node, found: pb.Container) -> bool:
    return status(node, found) == pb.STATUS_RESTARTING


def test_on_failure_gives_up_after_its_restarts(node: Node, container: Any) -> None:
    found = container(*_FAILS, restart_policy=policy("on-failure", 2, delay=1_000_000))
    start(node, found)
    eventually(lambda: status(node, found) == pb.STATUS_EXITED and node.get(found.id).restart_count)
    ended = node.get(found.id)
    assert (ended.restart_count, ended.exit_code) == (2, 3)
    assert node.logs(found.id) == "run\n" * 3
    actions = node.actions(found.id, 7)
    assert actions == ["create", *["start", "die"] * 3]


def test_a_success_ends_on_failure_alone(node: Node, container: Any) -> None:
    once = container("true", restart_policy=policy("on-failure"))
    start(node, once)
    node.wait(once.id)
    eventually(lambda: status(node, once) == pb.STATUS_EXITED)
    again = container("true", restart_policy=policy("unless-stopped", delay=1_000_000))
    start(node, again)
    eventually(lambda: node.get(again.id).restart_count >= 2)


def test_pauses_double_and_begin_anew_after_a_long_run(node: Node, container: Any) -> None:
    delays = []
    found = container(*_FAILS, restart_policy=policy(delay=20_000_000, delay_max=70_000_000))
    start(node, found)

    def seen() -> bool:
        delay = node.get(found.id).restart.delay
        if delay and delay not in delays:
            delays.append(delay)
        return delay == 70_000_000

    eventually(seen)
    assert set(delays) <= {20_000_000, 40_000_000, 70_000_000}
    long = container("sleep", "0.2", restart_policy=policy(delay=1_000_000, reset_after=1_000_000))
    start(node, long)
    eventually(lambda: node.get(long.id).restart_count >= 3)
    assert node.get(long.id).restart.delay == 1_000_000


@pytest.mark.parametrize("name", ["always", "unless-stopped", "on-failure"])
def test_stop_and_kill_end_it(node: Node, container: Any, name: str) -> None:
    found = container("sleep", "60", restart_policy=policy(name, delay=1_000_000))
    ends: list[Callable[[], object]] = [
        lambda: node.stub.Stop(pb.StopRequest(container=found.id, timeout=0)),
        lambda: node.stub.Kill(pb.KillRequest(container=found.id)),
    ]
    for end in ends:
        start(node, found)
        end()
        eventually(lambda: status(node, found) == pb.STATUS_EXITED)
        stopped = node.get(found.id)
        assert (stopped.exit_code, stopped.restart.stopped) == (137, True)
        assert stopped.end_request.signal in (signal.SIGKILL, signal.SIGTERM)
    assert node.get(found.id).end_request.action == "kill"


def test_one_that_waits_can_be_stopped_started_and_removed(node: Node, container: Any) -> None:
    found = container("sh", "-c", "exit 3", restart_policy=policy(delay=_HOUR, delay_max=_HOUR))
    start(node, found)
    eventually(lambda: restarting(node, found))
    with fails(ContainerNotRunning) as raised:
        node.exec(found.id, "true")
    assert "is restarting" in str(raised[0])
    with fails(ContainerRunning):
        node.stub.Remove(pb.RemoveRequest(container=found.id))
    assert found.id in [c.id for c in node.stub.List(pb.ListRequest()).containers]
    waiting = in_background(node.wait, found.id)
    node.stub.Stop(pb.StopRequest(container=found.id))
    assert waiting.result(20 * PATIENCE).exit_code == 3
    assert status(node, found) == pb.STATUS_EXITED
    start(node, found)
    eventually(lambda: restarting(node, found))
    node.stub.Kill(pb.KillRequest(container=found.id))
    assert status(node, found) == pb.STATUS_EXITED
    start(node, found)
    eventually(lambda: restarting(node, found))
    before = node.get(found.id).finished_at
    start(node, found)  # at once, not in an hour
    eventually(lambda: node.get(found.id).finished_at != before)


def test_a_restart_that_is_due_survives_the_service(node: Node, container: Any) -> None:
    """Killed while it waits: the count, the pause and the time are on record."""
    pauses = policy("on-failure", 3, delay=1_500_000_000, delay_max=1_500_000_000)
    found = container(*_FAILS, restart_policy=pauses)
    start(node, found)
    eventually(lambda: restarting(node, found))
    due = node.get(found.id).restart.due_at
    node.crash()
    again = node.get(found.id)
    assert (again.restart_count, again.status) == (
        1,
        pb.STATUS_RESTARTING,
    ) or again.restart_count > 1
    eventually(lambda: node.get(found.id).restart_count == 2)
    assert node.get(found.id).started_at.ToNanoseconds() >= due.ToNanoseconds()


def test_an_exit_while_the_service_is_away_leads_to_a_restart(node: Node, container: Any) -> None:
    found = container("sh", "-c", "sleep 0.5; exit 3", restart_policy=policy(delay=1_000_000))
    start(node, found)
    pid = node.get(found.id).pid
    node.stop("container")
    processes.wait_for(lambda: not processes.alive(pid), "the container's end")
    node.start("container")
    eventually(lambda: node.get(found.id).restart_count >= 1 and node.get(found.id).pid)


def test_a_stop_that_was_cut_short_is_not_forgotten(node: Node, container: Any) -> None:
    """The service is killed between the signal and the exit: the user's wish is on record."""
    found = container(
        *(
            "sh",
            "-c",
            "trap 'echo asked; sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done",
        ),
        restart_policy=policy(delay=1_000_000),
    )
    start(node, found)
    eventually(lambda: node.logs(found.id) == "up\n")
    stopping = in_background(node.stub.Stop, pb.StopRequest(container=found.id))
    eventually(lambda: "asked" in node.logs(found.id))
    node.crash()
    with pytest.raises(grpc.RpcError):
        stopping.result(10 * PATIENCE)
    eventually(lambda: status(node, found) == pb.STATUS_EXITED)
    assert node.get(found.id).restart_count == 0


def test_a_restart_by_the_user_that_was_cut_short_is_finished(node: Node, container: Any) -> None:
    """The service is killed between the stop and the start, which are one request."""
    script = "trap 'echo asked; sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    found = container("sh", "-c", script)
    start(node, found)
    eventually(lambda: node.logs(found.id) == "up\n")
    restarted = in_background(node.stub.Restart, pb.RestartRequest(container=found.id))
    eventually(lambda: "asked" in node.logs(found.id))
    node.crash()
    with pytest.raises(grpc.RpcError):
        restarted.result(10 * PATIENCE)
    eventually(lambda: node.logs(found.id) == "up\nasked\nup\n")
    again = node.get(found.id)
    assert (again.status, again.restart_count) == (pb.STATUS_RUNNING, 0)
    assert not again.HasField("end_request")


def test_kills_at_any_moment_lose_no_restart(node: Node, container: Any) -> None:
    found = container(*_FAILS, restart_policy=policy(delay=1_000_000, delay_max=1_000_000))
    start(node, found)
    for pause in (0.0, 0.03, 0.07, 0.11, 0.16):
        count = node.get(found.id).restart_count
        eventually(lambda before=count: node.get(found.id).restart_count > before)
        time.sleep(pause)  # so that it is killed in another step each time
        node.crash()
    count = node.get(found.id).restart_count
    eventually(lambda: node.get(found.id).restart_count > count)


def test_a_shim_that_is_killed_is_an_exit_like_others(node: Node, container: Any) -> None:
    found = container("sleep", "60", restart_policy=policy(delay=1_000_000))
    start(node, found)
    processes.kill(parent(node.get(found.id).pid))
    eventually(lambda: node.get(found.id).restart_count == 1 and node.get(found.id).pid)


def test_a_restart_waits_for_services_that_are_away(node: Node, container: Any) -> None:
    found = container(
        "sh", "-c", "exit 3", restart_policy=policy("on-failure", 2, delay=500_000_000)
    )
    start(node, found)
    eventually(lambda: restarting(node, found))
    node.stop("network")
    try:
        due = node.get(found.id).restart.due_at.ToNanoseconds()
        eventually(lambda: time.time_ns() > due + 200_000_000)
    finally:
        node.start("network")
    eventually(lambda: status(node, found) == pb.STATUS_EXITED)
    ended = node.get(found.id)
    assert (ended.restart_count, ended.exit_code) == (2, 3)
    assert node.actions(found.id, 7) == ["create", *["start", "die"] * 3]


def test_the_machine_starts_what_was_not_stopped(node: Node, container: Any) -> None:
    """As with Docker, "always" means also what was stopped."""
    found = {
        (name, stopped): container("sleep", "60", restart_policy=policy(name))
        for name in ("no", "on-failure", "always", "unless-stopped")
        for stopped in (False, True)
    }
    ended = container("true")
    for each in (*found.values(), ended):
        start(node, each)
    for (_, stopped), each in found.items():
        if stopped:
            node.stub.Kill(pb.KillRequest(container=each.id))
            node.wait(each.id)
    boot(node)
    comes = {("always", False), ("always", True), ("unless-stopped", False)}
    eventually(lambda: all(node.get(found[key].id).pid for key in comes))
    for key, each in found.items():
        now = node.get(each.id)
        assert (now.status == pb.STATUS_RUNNING) == (key in comes), key
        assert now.restart_count == 0
    node.crash()  # which is no start of the machine
    assert status(node, found["unless-stopped", True]) == pb.STATUS_EXITED


def test_dependencies_are_waited_for(node: Node, container: Any) -> None:
    database = container("sleep", "60", name="database")
    setup = container("sh", "-c", "sleep 0.3", name="setup")
    wanted = [
        Dependency(container="database"),
        Dependency(container="setup", condition="completed"),
    ]
    web = container("sleep", "60", name="web", depends_on=wanted)
    starting = in_background(node.stub.Start, pb.StartRequest(container="web"))
    start(node, setup)
    node.wait("setup")
    assert status(node, web) == pb.STATUS_CREATED, "it did not wait for the database"
    start(node, database)
    starting.result(20 * PATIENCE)
    assert status(node, web) == pb.STATUS_RUNNING
    node.stub.Rename(pb.RenameRequest(container="database", name="store"))
    assert [each.container for each in node.get("web").config.depends_on] == ["store", "setup"]


def test_dependencies_that_cannot_be_met_are_errors(node: Node, container: Any) -> None:
    failed = container("false", name="failed")
    start(node, failed)
    node.wait("failed")
    wanted = [Dependency(container="failed", condition="completed")]
    needs = container("true", name="needs", depends_on=wanted)
    with fails(DependencyNotReady) as raised:
        start(node, needs)
    assert "has ended with exit code 1" in str(raised[0])
    assert status(node, needs) == pb.STATUS_CREATED
    node.remove("failed")
    with fails(DependencyNotReady):
        start(node, needs)
    with fails(InvalidConfig) as raised:
        container("true", name="failed", depends_on=[Dependency(container="needs")])
    assert "leads back" in str(raised[0])
    with fails(InvalidConfig):
        container("true", depends_on=[Dependency(container="needs", condition="soon")])


def test_the_machine_starts_containers_in_the_order_of_their_dependencies(
    node: Node, container: Any
) -> None:
    first = container("sleep", "60", name="first", restart_policy=policy())
    second = container(
        *("sleep", "60"),
        name="second",
        restart_policy=policy(),
        depends_on=[Dependency(container="first")],
    )
    third = container(
        *("sleep", "60"),
        restart_policy=policy(),
        depends_on=[Dependency(container="second")],
    )
    for each in (first, second, third):
        start(node, each)
    boot(node)
    eventually(lambda: node.get(third.id).pid)
    times = [node.get(each.id).started_at.ToNanoseconds() for each in (first, second, third)]
    assert times == sorted(times)


def boot(node: Node) -> None:
    """Do what a start of the machine does: no process and nothing of the run directory is left, the boot id differs."""
    node.stop("container")
    spawner = node.spawner_pid()
    for pid in (spawner, *processes.children(spawner)):
        processes.kill(pid)
    for pid in _tasks(node):
        processes.kill(pid)
    processes.wait_for(lambda: not _tasks(node), "the end of all processes")
    remove_cgroups(node.instance)
    shutil.rmtree(node.run / "shims")
    database = sqlite3.connect(node.root / "container/container.db")
    database.execute("UPDATE machine SET boot_id = 'another'")
    database.commit()
    database.close()
    node.start("container")


def _tasks(node: Node) -> list[int]:
    """Return the PIDs in the cgroups of the node's containers."""
    base = Path("/sys/fs/cgroup")
    found: set[int] = set()
    for top in (base / node.instance, *base.glob(f"*/{node.instance}")):
        for file in top.glob("*/cgroup.procs"):
            found.update(map(int, file.read_text().split()))
    return sorted(found)
