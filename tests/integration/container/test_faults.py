"""SIGKILL of the service, of the spawner and of shims at any moment: containers go on, nothing is lost or leaks."""

import contextlib
import json
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.api.volume.v1 import volume_pb2
from scow.contract.errors import ContainerNotFound, ContainerNotRunning
from tests.integration.container.node import Node, eventually, fails, in_background, parent
from tests.support import processes
from tests.support.processes import PATIENCE


def shim_of(node: Node, container: str) -> int:
    return parent(node.get(container).pid)


def test_containers_outlive_the_service(node: Node) -> None:
    running = node.run_detached("sh", "-c", "echo up; sleep 60", name="outlives")
    ends = node.run_detached("sh", "-c", "sleep 0.5; exit 6")
    paused = node.run_detached("sleep", "60")
    node.stub.Pause(pb.PauseRequest(container=paused.id))
    node.stop("container")
    processes.wait_for(lambda: not processes.alive(ends.pid), "the end of the one that ends")
    assert processes.alive(running.pid)
    node.start("container")
    found = node.get("outlives")
    assert (found.status, found.pid) == (pb.STATUS_RUNNING, running.pid)
    assert found.endpoints == running.endpoints
    ended = node.wait(ends.id)
    assert ended.exit_code == 6
    began = node.get(ends.id).started_at.ToNanoseconds()
    assert 0.4 < (ended.finished_at.ToNanoseconds() - began) / 1e9 < 0.7 * PATIENCE, (
        "the time of the end"
    )
    assert node.get(paused.id).status == pb.STATUS_PAUSED
    assert node.exec("outlives", "true")[0] == 0
    assert node.logs("outlives") == "up\n"
    node.stub.Kill(pb.KillRequest(container="outlives"))
    assert node.wait("outlives").exit_code == 137
    for container in (running, ends, paused):
        node.remove(container.id)


@contextlib.contextmanager
def writes_blocked(node: Node) -> Iterator[None]:
    """Hold the write lock of the container service's database: a change waits until the block is left."""
    database = sqlite3.connect(node.root / "container/container.db", isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


def test_killed_between_the_execution_and_its_record(node: Node) -> None:
    """The record is the same as that of a start that nobody disturbed: ports, endpoint, files of names."""
    container = node.create("sh", "-c", "echo up; sleep 60", ports=[PortMapping(container_port=80)])
    with writes_blocked(node):
        starting = in_background(node.stub.Start, pb.StartRequest(container=container.id))
        log = Path(container.log_path)
        eventually(lambda: log.exists() and "up" in log.read_text())
        node.stop("container")
    with pytest.raises(grpc.RpcError):
        starting.result(10 * PATIENCE)
    node.start("container")
    eventually(lambda: node.get(container.id).status == pb.STATUS_RUNNING)
    found = node.get(container.id)
    assert found.ports[0].container_port == 80
    assert found.ports[0].host_port > 0
    (endpoint,) = found.endpoints
    assert node.exec(container.id, "hostname", "-i")[1].strip() == endpoint.ip_address
    for path in (found.resolv_conf_path, found.hosts_path, found.hostname_path):
        assert Path(path).is_file()
    assert found.HasField("started_at")
    assert processes.alive(found.pid)
    assert "start" in node.actions(container.id, 2)
    node.remove(container.id)


def test_a_container_that_removes_itself_does_so_without_the_service(node: Node) -> None:
    container = node.run_detached("sleep", "0.3", auto_remove=True)
    node.stop("container")
    processes.wait_for(lambda: not processes.alive(container.pid), "its end")
    node.start("container")
    eventually(lambda: not node.stub.List(pb.ListRequest(all=True)).containers)
    assert node.wait(container.id).exit_code == 0


def test_sigterm_leaves_containers_running(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    waiting = in_background(node.wait, container.id)
    time.sleep(0.2)
    node.stop("container", 15)
    with pytest.raises(grpc.RpcError) as caught:
        waiting.result(10 * PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    node.start("container")
    assert node.get(container.id).status == pb.STATUS_RUNNING
    node.remove(container.id)


def test_the_spawner_may_die(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    old = node.spawner_pid()
    processes.kill(old)
    assert node.exec(container.id, "true")[0] == 0
    assert node.output("echo", "again") == (0, "again\n")
    assert node.spawner_pid() != old
    node.stub.Kill(pb.KillRequest(container=container.id))
    assert node.wait(container.id).exit_code == 137
    node.remove(container.id)


def test_a_restarted_service_finds_the_spawner_again(node: Node) -> None:
    old = node.spawner_pid()
    node.crash()
    assert node.output("true") == (0, "")
    assert node.spawner_pid() == old


def test_a_shim_that_dies_ends_its_container(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    waiting = in_background(node.wait, container.id)
    processes.kill(shim_of(node, container.id))
    ended = waiting.result(10 * PATIENCE)
    assert ended.exit_code == 137
    assert "shim" in ended.error
    assert not processes.alive(container.pid)
    with fails(ContainerNotRunning):
        node.exec(container.id, "true")
    assert node.stub.Start(pb.StartRequest(container=container.id)).container.pid > 0
    node.remove(container.id)


def test_a_shim_that_dies_while_the_service_is_down(node: Node) -> None:
    mount = pb.MountSpec(type="volume", source="own", target="/x", exclusive=True)
    container = node.run_detached("sleep", "60", mounts=[mount])
    shim = shim_of(node, container.id)
    node.stop("container")
    processes.kill(shim)
    node.start("container")
    ended = node.wait(container.id)
    assert (ended.exit_code, node.get(container.id).status) == (137, pb.STATUS_EXITED)
    assert not processes.alive(container.pid)
    node.remove(container.id)


def test_a_shim_that_dies_under_sessions(node: Node) -> None:
    container = node.create("sleep", "60")
    opened = pb.AttachRequest.Open(container=container.id, stdout=True, start=True)
    attached = in_background(
        lambda: list(node.stub.Attach(iter([pb.AttachRequest(open=opened)]), timeout=30 * PATIENCE))
    )
    eventually(lambda: node.get(container.id).status == pb.STATUS_RUNNING)
    session = in_background(node.exec, container.id, "sleep", "60")
    eventually(lambda: node.get(container.id).exec_ids)
    processes.kill(shim_of(node, container.id))
    assert attached.result(15 * PATIENCE)[-1].exit.code == 137
    with pytest.raises(grpc.RpcError):
        session.result(15 * PATIENCE)
    node.remove(container.id)


def test_a_restart_of_the_machine_is_an_end_too(node: Node) -> None:
    """A state folder that is gone, with all processes: what /run is after a boot."""
    mount = pb.MountSpec(type="volume", source="own", target="/x", exclusive=True)
    container = node.run_detached("sleep", "60", mounts=[mount])
    shim = shim_of(node, container.id)
    node.stop("container")
    processes.kill(shim)
    processes.kill(container.pid)
    state = node.run / "shims" / container.id[:24]
    cgroups = [Path(p) for p in json.loads((state / "state.json").read_text())["cgroups"]]
    eventually(lambda: not processes.alive(container.pid))
    shutil.rmtree(state)
    for path in cgroups:
        with contextlib.suppress(OSError):
            path.rmdir()
    node.start("container")
    found = node.get(container.id)
    assert (found.status, found.exit_code) == (pb.STATUS_EXITED, 255)
    assert found.error
    [use] = node.volume.Get(volume_pb2.GetRequest(name="own")).volume.uses
    assert not use.mounted
    node.remove(container.id)
    node.volume.Remove(volume_pb2.RemoveRequest(name="own"))


def invariants(node: Node) -> None:
    """What must hold once the service is back: nothing half made, nothing without a record."""
    containers = node.stub.List(pb.ListRequest(all=True)).containers
    known = {c.id for c in containers}
    states = {c.status for c in containers}
    assert states <= {pb.STATUS_CREATED, pb.STATUS_RUNNING, pb.STATUS_EXITED}, states
    for container in containers:
        alive = container.status == pb.STATUS_RUNNING
        assert alive == (node.run / "shims" / container.id[:24]).exists()
        assert not alive or processes.alive(container.pid)
    assert {path.name for path in (node.root / "container/containers").iterdir()} == known
    running = {c.id[:24] for c in containers if c.status == pb.STATUS_RUNNING}
    assert {path.name for path in (node.run / "shims").iterdir()} == running


@pytest.mark.parametrize("seed", range(12))
def test_the_service_dies_at_any_moment_of_a_run(node: Node, seed: int) -> None:
    """Create, start, wait, remove go on in a thread while the service is killed: then all is in order."""
    chance = random.Random(seed)
    mounts = [pb.MountSpec(type="volume", target="/data")]

    def lives() -> None:
        with contextlib.suppress(grpc.RpcError):
            while True:
                container = node.run_detached("sleep", "0.02", mounts=mounts)
                node.wait(container.id)
                node.remove(container.id)

    thread = in_background(lives)
    time.sleep(chance.uniform(0.05, 0.25) * PATIENCE)
    node.stop("container")
    thread.result(30 * PATIENCE)
    node.start("container")
    invariants(node)
    for container in node.stub.List(pb.ListRequest(all=True)).containers:
        node.remove(container.id)
    assert node.output("echo", "fine") == (0, "fine\n")
    owned = [v for v in node.volume.List(volume_pb2.ListRequest()).volumes if v.owners]
    assert owned == []


@pytest.mark.parametrize("seed", range(3))
def test_the_spawner_dies_at_any_moment_of_starts(node: Node, seed: int) -> None:
    chance = random.Random(seed)
    containers = [node.create("sleep", "60") for _ in range(4)]
    starts = [in_background(node.stub.Start, pb.StartRequest(container=c.id)) for c in containers]
    time.sleep(chance.uniform(0, 0.05))
    processes.kill(node.spawner_pid())
    for start in starts:
        with contextlib.suppress(grpc.RpcError):
            start.result(30 * PATIENCE)
    for container in containers:
        node.stub.Start(pb.StartRequest(container=container.id))
        assert node.exec(container.id, "true")[0] == 0
        node.remove(container.id)
    invariants(node)


@pytest.mark.parametrize("name", ["image", "volume", "network"])
def test_another_service_is_away(node: Node, name: str) -> None:
    mounts = [pb.MountSpec(type="volume", target="/data")]
    running = node.run_detached("sleep", "60", mounts=mounts)
    node.stop(name)
    with contextlib.suppress(grpc.RpcError):
        node.run_detached("true", mounts=mounts, name="during")
    with contextlib.suppress(grpc.RpcError):
        node.remove(running.id)
    node.start(name)
    for container in (running.id, "during"):
        try:
            node.remove(container)
        except grpc.RpcError:
            with fails(ContainerNotFound):
                node.get(container)
    assert node.output("echo", "fine") == (0, "fine\n")
    invariants(node)


def test_what_is_left_of_an_unknown_container_is_released(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    node.stop("container")
    database = node.root / "container" / "container.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM containers")
        connection.commit()
    node.start("container")
    eventually(lambda: not processes.alive(container.pid))
    invariants(node)
    assert node.stub.Reconcile(pb.ReconcileRequest()).actions == []


def test_a_rename_that_was_cut_short_is_finished(node: Node) -> None:
    node.run_detached("sleep", "600", name="web")
    node.stop("network")
    in_background(node.stub.Rename, pb.RenameRequest(container="web", name="front"))
    eventually(lambda: node.stub.List(pb.ListRequest()).containers[0].name == "front")
    assert [endpoint.name for endpoint in node.get("front").endpoints] == ["web"]
    node.stop("container")
    node.start("network")
    node.start("container")
    eventually(lambda: [e.name for e in node.get("front").endpoints] == ["front"])
    node.remove("front")


def test_a_rename_without_the_network_service_is_finished_by_reconciliation(node: Node) -> None:
    node.run_detached("sleep", "600", name="web")
    node.stop("network")
    node.stub.Rename(pb.RenameRequest(container="web", name="front"))
    assert [endpoint.name for endpoint in node.get("front").endpoints] == ["web"]
    node.start("network")
    [action] = node.stub.Reconcile(pb.ReconcileRequest()).actions
    assert action.detail == "its networks were changed"
    assert [endpoint.name for endpoint in node.get("front").endpoints] == ["front"]
    assert node.stub.Reconcile(pb.ReconcileRequest()).actions == []
    node.remove("front")
