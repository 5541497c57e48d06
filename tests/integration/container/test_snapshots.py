"""Snapshots of volumes that containers use: frozen meanwhile, never for longer; restored only when they are at rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.volume.v1 import snapshot_pb2, volume_pb2
from scow.api.volume.v1.snapshot_pb2_grpc import SnapshotServiceStub
from scow.contract.errors import Aborted, VolumeInUse
from tests.integration.container.node import Node, eventually, fails, in_background

# Enough for a copy to take a while.
_FILES = 4000
# Writes the next number to two files, one after the other.
_COUNT = "i=0; while true; do i=$((i+1)); echo $i > /data/a; echo $i > /data/b; done"


class Volume:
    """A volume, and a container that uses it."""

    def __init__(self, node: Node, script: str) -> None:
        self.node = node
        self.stub = SnapshotServiceStub(node.channel("volume"))
        mounts = [pb.MountSpec(type="volume", source="data", target="/data")]
        self.container = node.run_detached("sh", "-c", script, mounts=mounts)
        described = node.volume.Get(volume_pb2.GetRequest(name="data")).volume
        self.folder = Path(described.mountpoint)

    def fill(self) -> None:
        for index in range(_FILES):
            (self.folder / f"f{index}").touch()

    def status(self) -> int:
        return self.node.get(self.container.id).status

    def snapshot(self, name: str = "one") -> snapshot_pb2.Snapshot:
        request = snapshot_pb2.CreateSnapshotRequest(volume="data", name=name, freeze=True)
        return self.stub.CreateSnapshot(request).snapshot

    def restore(self, *, force: bool = False) -> list[str]:
        request = snapshot_pb2.RestoreSnapshotRequest(volume="data", name="one", force=force)
        return list(self.stub.RestoreSnapshot(request).outdated)

    def remove(self) -> None:
        with contextlib.suppress(grpc.RpcError):
            self.node.remove(self.container.id)
        for each in self.stub.ListSnapshots(snapshot_pb2.ListSnapshotsRequest()).snapshots:
            request = snapshot_pb2.RemoveSnapshotRequest(volume="data", name=each.name)
            self.stub.RemoveSnapshot(request)
        self.node.volume.Remove(volume_pb2.RemoveRequest(name="data"))
        self.node.volume.Reconcile(volume_pb2.ReconcileRequest())
        base = self.node.root / "volume"
        for folder in ("staging", "trash", "former"):
            assert list((base / folder).iterdir()) == []


@pytest.fixture
def volumes(node: Node) -> Iterator[list[Volume]]:
    made: list[Volume] = []
    yield made
    for each in made:
        each.remove()


def test_a_frozen_snapshot_is_of_one_moment(node: Node, volumes: list[Volume]) -> None:
    volume = Volume(node, _COUNT)
    volumes.append(volume)
    eventually((volume.folder / "b").exists)
    volume.fill()
    made = volume.snapshot()
    assert made.frozen
    assert volume.status() == pb.STATUS_RUNNING
    folder = node.root / "volume/snapshots/data/one"
    first, second = (int((folder / name).read_text() or -1) for name in "ab")
    # Writing truncates first: where the moment was right then, the file is empty.
    assert -1 in (first, second) or 0 <= first - second <= 1
    actions = node.actions(volume.container.id, 4)
    assert actions[-2:] == ["pause", "unpause"]


@pytest.mark.parametrize("killed", ["volume", "container"])
def test_nothing_stays_frozen_when_a_service_is_killed(
    node: Node, volumes: list[Volume], killed: str
) -> None:
    volume = Volume(node, "sleep 1000")
    volumes.append(volume)
    volume.fill()
    future = in_background(volume.snapshot)
    eventually(lambda: volume.status() == pb.STATUS_PAUSED)
    node.crash(killed)
    eventually(lambda: volume.status() == pb.STATUS_RUNNING)
    error = future.exception(60)
    assert isinstance(error, grpc.RpcError)
    if killed == "container":
        with fails(Aborted):
            raise error
    listed = volume.stub.ListSnapshots(snapshot_pb2.ListSnapshotsRequest()).snapshots
    assert list(listed) == []
    assert node.exec(volume.container.id, "echo", "alive") == (0, "alive\n")


def test_restored_at_rest(node: Node, volumes: list[Volume]) -> None:
    volume = Volume(node, "cat /data/file; exec sleep 1000")
    volumes.append(volume)
    (volume.folder / "file").write_text("old\n")
    volume.snapshot()
    (volume.folder / "file").write_text("new\n")
    with fails(VolumeInUse):
        volume.restore()
    owner = f"container/{volume.container.id}"
    assert volume.restore(force=True) == [owner]
    # Who runs keeps what was there, and can write to it.
    assert node.exec(volume.container.id, "cat", "/data/file") == (0, "new\n")
    assert node.exec(volume.container.id, "touch", "/data/further") == (0, "")
    node.volume.Reconcile(volume_pb2.ReconcileRequest())
    assert node.exec(volume.container.id, "cat", "/data/file") == (0, "new\n")
    node.stub.Restart(pb.RestartRequest(container=volume.container.id, timeout=0))
    assert node.exec(volume.container.id, "cat", "/data/file") == (0, "old\n")
    node.volume.Reconcile(volume_pb2.ReconcileRequest())
    assert list((node.root / "volume/former").iterdir()) == []
    node.stub.Stop(pb.StopRequest(container=volume.container.id, timeout=0))
    (volume.folder / "file").write_text("newer\n")
    assert volume.restore() == []
    assert (volume.folder / "file").read_text() == "old\n"


def test_a_container_that_is_made_meanwhile_waits(node: Node, volumes: list[Volume]) -> None:
    volume = Volume(node, "sleep 1000")
    volumes.append(volume)
    volume.fill()
    future = in_background(volume.snapshot)
    eventually(lambda: volume.status() == pb.STATUS_PAUSED)
    mounts = [pb.MountSpec(type="volume", source="data", target="/data")]
    code, _ = node.output("touch", "/data/too-late", mounts=mounts)
    assert code == 0
    future.result(60)
    assert not (node.root / "volume/snapshots/data/one/too-late").exists()
