"""Engines as wholes: side by side, stopped and started, refused twice in one place."""

from __future__ import annotations

import subprocess

import grpc

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2_grpc import ContainerServiceStub
from tests.support.busybox import import_busybox
from tests.support.engine import BIN, Engine


def test_two_engines_do_not_touch_each_other(engine: Engine) -> None:
    with Engine() as other:
        import_busybox(other)
        for each in (engine, other):
            each.cli("run", "-d", "--name", "same", "busybox", "sleep", "100")
        one, two = (
            e.cli("inspect", "-f", "{{.NetworkSettings.Gateway}}", "same").stdout
            for e in (engine, other)
        )
        assert one != two
        other.cli("rm", "-f", "same")
        assert engine.cli("exec", "same", "echo", "in").stdout == "in\n"


def test_a_second_scowd_is_refused(engine: Engine) -> None:
    done = subprocess.run(
        [BIN / "scowd", *engine.arguments], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert str(engine.run) in done.stderr


def test_a_wrong_key_stops_the_start(tmp_path: object) -> None:
    done = subprocess.run(
        [BIN / "scowd", "--root", f"{tmp_path}/r", "--run", f"{tmp_path}/d"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SCOW_INSTANCES": "x"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "instances" in done.stderr
    assert "instance" in done.stderr.replace("instances", "")


def test_a_bare_channel_runs_a_container(engine: Engine) -> None:
    """No code of scow.client: what any program with a gRPC stack does."""
    with grpc.insecure_channel(f"unix://{engine.run}/container.sock") as channel:
        stub = ContainerServiceStub(channel)
        config = pb.ContainerConfig(image="busybox", command=["sh", "-c", "echo hello; exit 3"])
        created = stub.Create(pb.CreateRequest(config=config, request_id="bare-1")).container
        again = stub.Create(pb.CreateRequest(config=config, request_id="bare-1")).container
        assert again.id == created.id, "a repeated request made a second container"
        stub.Start(pb.StartRequest(container=created.id))
        assert stub.Wait(pb.WaitRequest(container=created.id), timeout=30).exit_code == 3
        records = stub.Logs(pb.LogsRequest(container=created.id, stdout=True), timeout=30)
        assert b"".join(record.stdout for record in records) == b"hello\n"
        stub.Remove(pb.RemoveRequest(container=created.id))
        events = stub.Watch(pb.WatchRequest(from_revision=1), timeout=30)
        actions = []
        for response in events:
            if response.event.object_id == created.id:
                actions.append(response.event.action)
                if response.event.action == "destroy":
                    break
        events.cancel()
    wanted = ["create", "start", "die", "destroy"]
    assert [action for action in actions if action in wanted] == wanted
