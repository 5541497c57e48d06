"""The life of containers through a bare channel: real image, real network, real processes."""

import subprocess
import time
from typing import Any

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter, PortMapping
from scow.api.volume.v1 import volume_pb2
from scow.contract.errors import (
    AmbiguousId,
    BindSourceNotFound,
    CommandNotExecutable,
    CommandNotFound,
    ContainerNotFound,
    ContainerNotRunning,
    ContainerPaused,
    ContainerRunning,
    DiskFull,
    ImageNotFound,
    InvalidConfig,
    NameInUse,
    NetworkNotFound,
    RequestIdReused,
    UserNotFound,
)
from tests.integration.container.node import Node, eventually, fails, in_background
from tests.support.processes import PATIENCE


def test_create_start_wait_logs_remove(node: Node) -> None:
    container = node.create("sh", "-c", "echo out; echo err >&2; exit 3", name="first")
    assert container.status == pb.STATUS_CREATED
    assert container.name == "first"
    assert list(container.args) == ["sh", "-c", "echo out; echo err >&2; exit 3"]
    started = node.stub.Start(pb.StartRequest(container="first")).container
    assert started.id == container.id
    assert started.HasField("started_at")
    ended = node.wait("first")
    assert ended.exit_code == 3
    assert ended.finished_at.ToNanoseconds() >= started.started_at.ToNanoseconds()
    found = node.get(container.id[:12])
    assert (found.status, found.exit_code, found.pid) == (pb.STATUS_EXITED, 3, 0)
    assert not found.endpoints
    assert sorted(node.logs("first").splitlines()) == ["err", "out"]
    assert node.logs("first", stderr=True) == "err\n"
    node.stub.Remove(pb.RemoveRequest(container="first"))
    with fails(ContainerNotFound) as errors:
        node.get("first")
    assert errors[0].which == "first"
    assert node.actions(container.id, 4) == ["create", "start", "die", "destroy"]


def test_a_removed_containers_end_is_not_forgotten(node: Node) -> None:
    container = node.run_detached("sh", "-c", "exit 9", auto_remove=True)
    assert node.wait(container.id).exit_code == 9
    eventually(lambda: not node.stub.List(pb.ListRequest(all=True)).containers)
    assert node.wait(container.id).exit_code == 9


def test_an_ended_container_starts_again_with_its_files(node: Node) -> None:
    container = node.run_detached("sh", "-c", "echo x >> /count; exec wc -l /count")
    for count in (1, 2, 3):
        node.wait(container.id)
        assert node.logs(container.id, tail=1) == f"{count} /count\n"
        node.stub.Start(pb.StartRequest(container=container.id))
    node.wait(container.id)
    node.remove(container.id)


def test_names_in_use_and_ambiguous_prefixes(node: Node) -> None:
    first = node.create("true", name="taken")
    with fails(NameInUse) as errors:
        node.create("true", name="taken")
    assert errors[0].metadata["container"] == first.id
    others = [node.create("true") for _ in range(17)]
    with fails(AmbiguousId):
        letters = [c.id[0] for c in others]
        node.get(max(letters, key=letters.count))
    for container in (first, *others):
        node.remove(container.id)


@pytest.mark.parametrize(
    ("fields", "error", "which"),
    [
        ({"image": "nothing"}, ImageNotFound, "nothing"),
        ({"network": "nowhere"}, NetworkNotFound, "nowhere"),
        ({"network": "container:nobody"}, ContainerNotFound, "nobody"),
        ({"memory": 1}, InvalidConfig, "resources.memory"),
        (
            {"mounts": [pb.MountSpec(type="bind", source="/nothing/here", target="/x")]},
            BindSourceNotFound,
            "/nothing/here",
        ),
    ],
)
def test_a_creation_that_fails_leaves_nothing(
    node: Node, fields: dict[str, object], error: type, which: str
) -> None:
    if "memory" in fields:
        fields = {"resources": pb.Resources(memory=1)}
    before = node.stub.List(pb.ListRequest(all=True)).containers
    with fails(error) as errors:
        node.create("true", name="wrong", **fields)
    assert which in errors[0].which
    assert node.stub.List(pb.ListRequest(all=True)).containers == before
    container = node.create("true", name="wrong")
    node.remove(container.id)


@pytest.mark.parametrize(
    ("command", "fields", "error", "code"),
    [
        (["/nothing"], {}, CommandNotFound, 127),
        (["nothing"], {}, CommandNotFound, 127),
        (["/etc/passwd"], {}, CommandNotExecutable, 126),
        (["true"], {"user": "stranger"}, UserNotFound, 128),
    ],
)
def test_a_start_that_fails_tells_why_and_can_be_seen(
    node: Node, command: list[str], fields: dict[str, Any], error: type, code: int
) -> None:
    container = node.create(*command, **fields)
    with fails(error) as errors:
        node.stub.Start(pb.StartRequest(container=container.id))
    found = node.get(container.id)
    assert (found.status, found.exit_code) == (pb.STATUS_CREATED, code)
    assert found.error == errors[0].message
    assert not (node.run / "shims" / container.id[:24]).exists()
    node.remove(container.id)


def test_auto_remove_of_a_container_that_could_not_start(node: Node) -> None:
    container = node.create("/nothing", auto_remove=True)
    with fails(CommandNotFound):
        node.stub.Start(pb.StartRequest(container=container.id))
    eventually(lambda: not node.stub.List(pb.ListRequest(all=True)).containers)


def test_stop_sends_the_signal_then_kills(node: Node) -> None:
    polite = node.run_detached(
        "sh", "-c", "trap 'exit 5' TERM; echo set; while :; do sleep 0.05; done"
    )
    stubborn = node.run_detached("sh", "-c", "trap '' TERM; echo set; while :; do sleep 0.05; done")
    own = node.run_detached(
        "sh", "-c", "trap 'exit 6' USR1; echo set; while :; do sleep 0.05; done", stop_signal="USR1"
    )
    for container in (polite, stubborn, own):
        eventually(lambda c=container: node.logs(c.id) == "set\n")
    assert node.stub.Stop(pb.StopRequest(container=polite.id)).container.exit_code == 5
    assert node.stub.Stop(pb.StopRequest(container=own.id)).container.exit_code == 6
    began = time.monotonic()
    assert (
        node.stub.Stop(pb.StopRequest(container=stubborn.id, timeout=1)).container.exit_code == 137
    )
    assert 0.9 < time.monotonic() - began < 5 * PATIENCE
    node.stub.Stop(pb.StopRequest(container=polite.id))
    assert node.actions(stubborn.id, 6)[2:] == ["kill", "kill", "die", "stop"]
    for container in (polite, stubborn, own):
        node.remove(container.id)


def test_kill_and_states(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    with fails(ContainerRunning):
        node.stub.Remove(pb.RemoveRequest(container=container.id))
    assert node.stub.Start(pb.StartRequest(container=container.id)).container.pid == container.pid
    node.stub.Kill(pb.KillRequest(container=container.id))
    assert node.get(container.id).status == pb.STATUS_EXITED
    assert node.wait(container.id).exit_code == 137
    with fails(ContainerNotRunning):
        node.stub.Kill(pb.KillRequest(container=container.id))
    with fails(ContainerNotRunning):
        node.exec(container.id, "true")
    with fails(ContainerNotRunning):
        node.stub.Pause(pb.PauseRequest(container=container.id))
    with fails(InvalidConfig):
        node.stub.Kill(pb.KillRequest(container=container.id, signal="NOPE"))
    node.remove(container.id)


def test_restart_keeps_a_container_that_is_removed_at_its_end(node: Node) -> None:
    container = node.run_detached("sleep", "60", auto_remove=True)
    again = node.stub.Restart(pb.RestartRequest(container=container.id, timeout=0)).container
    assert again.status == pb.STATUS_RUNNING
    assert again.pid != container.pid
    node.stub.Kill(pb.KillRequest(container=container.id))
    assert node.wait(container.id, pb.WAIT_CONDITION_REMOVED).exit_code == 137


def test_pause(node: Node) -> None:
    container = node.run_detached("sleep", "60")
    node.stub.Pause(pb.PauseRequest(container=container.id))
    assert node.get(container.id).status == pb.STATUS_PAUSED
    with fails(ContainerPaused):
        node.exec(container.id, "true")
    with fails(ContainerPaused):
        node.stub.Start(pb.StartRequest(container=container.id))
    node.stub.Unpause(pb.UnpauseRequest(container=container.id))
    assert node.exec(container.id, "true")[0] == 0
    node.stub.Pause(pb.PauseRequest(container=container.id))
    node.stub.Stop(pb.StopRequest(container=container.id, timeout=0))
    assert node.wait(container.id).exit_code == 137
    node.remove(container.id)


def test_wait_conditions(node: Node) -> None:
    container = node.create("sh", "-c", "sleep 0.5; exit 3")
    assert node.wait(container.id).exit_code == 0
    next_exit = in_background(node.wait, container.id, pb.WAIT_CONDITION_NEXT_EXIT)
    removed = in_background(node.wait, container.id, pb.WAIT_CONDITION_REMOVED)
    node.stub.Start(pb.StartRequest(container=container.id))
    # 0 would be that of the container as it was before.
    assert next_exit.result(10 * PATIENCE).exit_code == 3
    assert not removed.done()
    node.remove(container.id)
    assert removed.result(10 * PATIENCE).exit_code == 3


def test_request_ids(node: Node) -> None:
    request = pb.CreateRequest(
        request_id="create-1",
        name="once",
        config=pb.ContainerConfig(image="busybox", command=["true"]),
    )
    first = node.stub.Create(request)
    assert node.stub.Create(request) == first
    start = pb.StartRequest(request_id="start-1", container="once")
    started = node.stub.Start(start)
    node.wait("once")
    assert node.stub.Start(start) == started
    assert node.get("once").status == pb.STATUS_EXITED
    node.crash()
    assert node.stub.Create(request) == first
    with fails(RequestIdReused):
        node.stub.Start(pb.StartRequest(request_id="create-1", container="once"))
    remove = pb.RemoveRequest(request_id="remove-1", container="once")
    node.stub.Remove(remove)
    node.stub.Remove(remove)


def test_lists(node: Node) -> None:
    running = node.run_detached("sleep", "60", labels={"tier": "front"}, name="lister")
    others = [node.create("true", labels={"tier": "back"}) for _ in range(4)]
    assert [c.id for c in node.stub.List(pb.ListRequest()).containers] == [running.id]
    back = [Filter(key="label", values=["tier=back"])]
    seen, token = [], ""
    while True:
        page = node.stub.List(pb.ListRequest(all=True, filters=back, page_size=3, page_token=token))
        seen += [c.id for c in page.containers]
        token = page.next_page_token
        if not token:
            break
    assert seen == [c.id for c in reversed(others)]
    by_image = pb.ListRequest(filters=[Filter(key="ancestor", values=["busybox:latest"])])
    assert [c.id for c in node.stub.List(by_image).containers] == [running.id]
    for container in (running, *others):
        node.remove(container.id)


def test_a_list_does_not_wait_for_a_container_that_is_being_stopped(node: Node) -> None:
    container = node.run_detached("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    stopping = in_background(node.stub.Stop, pb.StopRequest(container=container.id, timeout=30))
    assert len(node.stub.List(pb.ListRequest()).containers) == 1
    assert node.exec(container.id, "true")[0] == 0
    assert not stopping.done()
    node.remove(container.id)
    stopping.result(10 * PATIENCE)


def test_volumes_come_and_go_with_their_container(node: Node) -> None:
    mounts = [
        pb.MountSpec(type="volume", source="data", target="/data"),
        pb.MountSpec(type="volume", target="/anonymous"),
        pb.MountSpec(type="tmpfs", target="/scratch"),
    ]
    code, output = node.output(
        "sh",
        "-c",
        "echo kept > /data/f; mount | grep -c -e /data -e /anonymous -e /scratch",
        mounts=mounts,
    )
    assert (code, output) == (0, "3\n")
    assert node.output("cat", "/data/f", mounts=mounts[:1]) == (0, "kept\n")
    [volume] = node.volume.List(volume_pb2.ListRequest()).volumes
    assert volume.name == "data"
    assert list(volume.owners) == []
    node.volume.Remove(volume_pb2.RemoveRequest(name="data"))


def test_the_network_is_described_while_it_runs(node: Node) -> None:
    container = node.run_detached(
        "sh", "-c", "httpd -f -p 80 -h /etc", ports=[PortMapping(container_port=80)]
    )
    [endpoint] = container.endpoints
    assert endpoint.network == "bridge"
    assert container.ports[0].host_port > 0
    assert container.netns_path == f"/proc/{container.pid}/ns/net"
    code, output = node.output(
        "sh",
        "-c",
        f"cat /etc/resolv.conf >/dev/null; wget -q -O - http://{endpoint.ip_address}/passwd",
    )
    assert code == 0
    assert "root:x:0" in output
    joined = node.output("hostname", network=f"container:{container.name}")
    assert joined == (0, f"{container.hostname}\n")
    node.remove(container.id)


def test_of_concurrent_creations_one_gets_the_name(node: Node) -> None:
    request = pb.CreateRequest(
        name="wanted", config=pb.ContainerConfig(image="busybox", command=["true"])
    )
    calls = [node.stub.Create.future(request) for _ in range(8)]
    done = [call for call in calls if call.code() is grpc.StatusCode.OK]
    assert len(done) == 1
    assert all(call in done or call.code() is grpc.StatusCode.ALREADY_EXISTS for call in calls)
    node.remove(done[0].result().container.id)


def test_many_at_once(node: Node) -> None:
    runs = [in_background(node.output, "sh", "-c", f"echo {n}; exit {n}") for n in range(16)]
    assert [run.result(60 * PATIENCE) for run in runs] == [(n, f"{n}\n") for n in range(16)]


def test_a_full_disk_is_said_and_leaves_nothing(node: Node) -> None:
    folder = node.root / "container" / "containers"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", folder], check=True)
    try:
        with fails(DiskFull) as errors:
            node.create("true", name="big")
        assert errors[0].which == str(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert not node.stub.List(pb.ListRequest(all=True)).containers
    assert node.output("true", name="big") == (0, "")


def test_check_owners(node: Node) -> None:
    container = node.create("true")
    owners = [f"container/{container.id}", "container/" + "0" * 64, "other/1"]
    answer = node.stub.CheckOwners(pb.CheckOwnersRequest(owners=owners))
    assert list(answer.unknown) == owners[1:]
    node.remove(container.id)


def test_size(node: Node) -> None:
    container = node.run_detached("dd", "if=/dev/zero", "of=/file", "bs=1024", "count=1024")
    node.wait(container.id)
    response = node.stub.Get(pb.GetRequest(container=container.id, size=True))
    assert response.size_rw == 1 << 20
    assert response.size_root_fs > response.size_rw
    node.remove(container.id)


def test_a_creation_whose_client_goes_away_leaves_nothing(node: Node) -> None:
    config = pb.ContainerConfig(image="busybox", command=["true"])
    for pause in (0.0, 0.001, 0.002, 0.003, 0.005):
        call = node.stub.Create.future(pb.CreateRequest(name="fleeting", config=config))
        time.sleep(pause)
        call.cancel()
        listed = [Filter(key="name", values=["^fleeting$"])]
        eventually(
            lambda listed=listed: all(
                c.status == pb.STATUS_CREATED
                for c in node.stub.List(pb.ListRequest(all=True, filters=listed)).containers
            )
        )
        for container in node.stub.List(pb.ListRequest(all=True, filters=listed)).containers:
            node.remove(container.id)


def test_a_start_whose_client_goes_away_leaves_nothing_running(node: Node) -> None:
    for pause in (0.001, *(step * 0.002 for step in range(2, 9)), 0.02, 0.03):
        container = node.create("sleep", "60")
        call = node.stub.Start.future(pb.StartRequest(container=container.id))
        time.sleep(pause)
        call.cancel()
        state = node.run / "shims" / container.id[:24]
        eventually(
            lambda c=container, s=state: (
                node.get(c.id).status == pb.STATUS_RUNNING or not s.exists()
            )
        )
        node.remove(container.id)
        assert not state.exists()
