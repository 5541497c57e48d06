"""Snapshots and clones by the running service: whole or not there, whenever it is killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.volume.v1 import snapshot_pb2 as pb
from scow.api.volume.v1 import volume_pb2
from tests.support.processes import wait_for
from tests.support.volumeservice import VolumeService, reason

# Enough for a copy to take a while.
_FILES = 3000


@pytest.fixture
def service() -> Iterator[VolumeService]:
    with VolumeService() as running:
        yield running
        wait_for(lambda: running.leftovers() == [], "all that passes to be gone")


def create(service: VolumeService, name: str = "one", volume: str = "data") -> pb.Snapshot:
    request = pb.CreateSnapshotRequest(volume=volume, name=name)
    snapshot: pb.Snapshot = service.snapshots.CreateSnapshot(request).snapshot
    return snapshot


def restore(service: VolumeService, name: str = "one") -> None:
    service.snapshots.RestoreSnapshot(pb.RestoreSnapshotRequest(volume="data", name=name))


def names(service: VolumeService, volume: str = "") -> list[str]:
    found = service.snapshots.ListSnapshots(pb.ListSnapshotsRequest(volume=volume)).snapshots
    return [snapshot.name for snapshot in found]


def fill(folder: Path, text: str = "old") -> None:
    for index in range(_FILES):
        (folder / f"f{index}").write_text(text)


def all_are(folder: Path, text: str) -> bool:
    return len(os.listdir(folder)) == _FILES and all(
        path.read_text() == text for path in folder.iterdir()
    )


def copied(service: VolumeService) -> int:
    """Return how many files a copy under way has."""
    return sum(1 for _ in service.data.glob("staging/*/tree/*"))


def test_what_was_is_there_again(service: VolumeService) -> None:
    data = service.make()
    (data / "file").write_text("old")
    os.chown(data / "file", 5, 6)
    (data / "other").hardlink_to(data / "file")
    (data / "ümläut 🐟").symlink_to("file")
    os.setxattr(data / "file", "user.note", b"kept")
    os.chown(data, 7, 8)
    snapshot = create(service)
    assert (snapshot.volume, snapshot.name, snapshot.size) == ("data", "one", 3)
    assert snapshot.created_at.seconds > 0
    (data / "file").write_text("new")
    (data / "further").touch()
    restore(service)
    status = (data / "file").stat()
    assert ((data / "file").read_text(), status.st_uid, status.st_gid) == ("old", 5, 6)
    assert (data / "other").samefile(data / "file")
    assert os.getxattr(data / "file", "user.note") == b"kept"
    assert sorted(os.listdir(data)) == ["file", "other", "ümläut 🐟"]
    assert (data.stat().st_uid, data.stat().st_gid) == (7, 8)
    service.snapshots.RemoveSnapshot(pb.RemoveSnapshotRequest(volume="data", name="one"))
    assert names(service) == []
    assert list((service.data / "snapshots").iterdir()) == []


def test_a_snapshot_does_not_change(service: VolumeService) -> None:
    data = service.make()
    (data / "file").write_text("old")
    create(service)
    (data / "file").write_text("new")
    restore(service)
    (data / "file").write_text("newer")
    restore(service)
    assert (data / "file").read_text() == "old"


def test_clones_are_volumes_of_their_own(service: VolumeService) -> None:
    data = service.make()
    (data / "file").write_text("old")
    create(service)
    (data / "file").write_text("new")
    of_now = service.snapshots.Clone(pb.CloneRequest(volume="data", name="now")).volume
    request = pb.CloneRequest(volume="data", snapshot="one", name="then", labels={"a": "1"})
    of_then = service.snapshots.Clone(request).volume
    assert (Path(of_now.mountpoint) / "file").read_text() == "new"
    assert (Path(of_then.mountpoint) / "file").read_text() == "old"
    assert dict(of_then.labels) == {"a": "1"}
    assert service.snapshots.Clone(pb.CloneRequest(volume="data")).volume.name
    with pytest.raises(grpc.RpcError) as caught:
        service.snapshots.Clone(request)
    assert reason(caught.value) == "NAME_IN_USE"


def test_bad_names(service: VolumeService) -> None:
    service.make()
    create, clone = service.snapshots.CreateSnapshot, service.snapshots.Clone
    for name in ("a/b", "../x", ".hidden", "ü" * 3, "a", "x" * 256):
        for call, request in (
            (create, pb.CreateSnapshotRequest(volume="data", name=name)),
            (clone, pb.CloneRequest(volume="data", name=name)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(request)
            assert reason(caught.value) == "INVALID_NAME"


def test_the_longest_names(service: VolumeService) -> None:
    longest = "x" * 255
    service.make(longest)
    create(service, longest, longest)
    service.snapshots.RemoveSnapshot(pb.RemoveSnapshotRequest(volume=longest, name=longest))
    service.volumes.Remove(volume_pb2.RemoveRequest(name=longest))


def test_names_are_made_up_by_the_time(service: VolumeService) -> None:
    service.make()
    made = [create(service, "").name for _ in range(3)]
    assert len(set(made)) == 3
    assert names(service, "data") == made


def test_refusals(service: VolumeService) -> None:
    service.make()
    service.volumes.Create(
        volume_pb2.CreateRequest(name="memory", options={"type": "tmpfs", "device": "tmpfs"})
    )
    create(service)
    calls = service.snapshots
    for call, request, expected in (
        (calls.CreateSnapshot, pb.CreateSnapshotRequest(volume="data", name="one"), "NAME_IN_USE"),
        (calls.CreateSnapshot, pb.CreateSnapshotRequest(volume="none"), "VOLUME_NOT_FOUND"),
        (calls.CreateSnapshot, pb.CreateSnapshotRequest(volume="memory"), "VOLUME_NOT_LOCAL"),
        (calls.Clone, pb.CloneRequest(volume="data", snapshot="two"), "SNAPSHOT_NOT_FOUND"),
        (calls.RestoreSnapshot, pb.RestoreSnapshotRequest(volume="data"), "SNAPSHOT_NOT_FOUND"),
        (calls.RemoveSnapshot, pb.RemoveSnapshotRequest(volume="data"), "SNAPSHOT_NOT_FOUND"),
        (
            service.volumes.Remove,
            volume_pb2.RemoveRequest(name="data"),
            "VOLUME_HAS_SNAPSHOTS",
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert reason(caught.value) == expected


def test_killed_while_it_copies(service: VolumeService) -> None:
    data = service.make()
    fill(data)
    request = pb.CreateSnapshotRequest(volume="data", name="one", request_id="r")
    begun = lambda: copied(service) > 100  # noqa: E731
    service.kill_when(begun, service.snapshots.CreateSnapshot, request)
    assert (names(service), service.leftovers()) == ([], [])
    assert service.snapshots.CreateSnapshot(request).snapshot.name == "one"
    assert service.snapshots.CreateSnapshot(request).snapshot.name == "one"

    for path in data.iterdir():
        path.write_text("new")
    service.kill_when(
        begun,
        service.snapshots.RestoreSnapshot,
        pb.RestoreSnapshotRequest(volume="data", name="one"),
    )
    assert all_are(data, "new")
    assert service.leftovers() == []
    service.kill_when(begun, service.snapshots.Clone, pb.CloneRequest(volume="data", name="clone"))
    assert service.leftovers() == []
    assert [v.name for v in service.volumes.List(volume_pb2.ListRequest()).volumes] == ["data"]
    restore(service)
    assert all_are(data, "old")


def test_killed_before_it_is_recorded(service: VolumeService) -> None:
    data = service.make()
    (data / "file").write_text("old")
    there = service.data / "snapshots/data/one"
    clone = service.data / "volumes/clone"
    request = pb.CreateSnapshotRequest(volume="data", name="one", request_id="r")
    service.kill_when(there.exists, service.snapshots.CreateSnapshot, request, records_locked=True)
    assert (names(service), there.exists()) == ([], False)
    service.snapshots.CreateSnapshot(request)
    cloning = pb.CloneRequest(volume="data", name="clone")
    service.kill_when(clone.exists, service.snapshots.Clone, cloning, records_locked=True)
    assert not clone.exists()

    (data / "file").write_text("new")
    restoring = pb.RestoreSnapshotRequest(volume="data", name="one", request_id="s")
    service.kill_when(
        lambda: (data / "file").read_text() == "old",
        service.snapshots.RestoreSnapshot,
        restoring,
        records_locked=True,
    )
    service.snapshots.RestoreSnapshot(restoring)
    assert (data / "file").read_text() == "old"


def test_records_and_folders_are_compared(service: VolumeService) -> None:
    service.make()
    create(service, "gone")
    create(service, "kept")
    subprocess.run(["rm", "-r", service.data / "snapshots/data/gone"], check=True)
    (service.data / "snapshots/data/strange").mkdir()
    actions = service.volumes.Reconcile(volume_pb2.ReconcileRequest()).actions
    assert {(action.object, action.action) for action in actions} == {
        ("snapshot/data@gone", "recorded"),
        ("snapshot/data@strange", "released"),
    }
    assert names(service) == ["kept"]
    assert os.listdir(service.data / "snapshots/data") == ["kept"]


def test_a_caller_that_goes_away(service: VolumeService) -> None:
    fill(service.make())
    call = service.snapshots.CreateSnapshot.future(pb.CreateSnapshotRequest(volume="data"))
    while copied(service) < 100:
        assert not call.done()
    call.cancel()
    # A later one waits for a thread of the first.
    assert create(service).name == "one"
    assert names(service) == ["one"]


def test_a_full_and_a_read_only_disk(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", root], check=True)
    try:
        with VolumeService(root=root) as service:
            data = service.make()
            (data / "big").write_bytes(bytes(5 << 20))
            with pytest.raises(grpc.RpcError) as caught:
                create(service)
            assert reason(caught.value) == "DISK_FULL"
            assert names(service) == []
            wait_for(lambda: service.leftovers() == [], "the half copy to be gone")
            (data / "big").write_bytes(bytes(1 << 20))
            create(service)
            staging = str(service.data / "staging")
            subprocess.run(["mount", "--bind", "-o", "ro", staging, staging], check=True)
            try:
                with pytest.raises(grpc.RpcError) as caught:
                    restore(service)
            finally:
                subprocess.run(["umount", staging], check=True)
            assert reason(caught.value) == "READ_ONLY_STORAGE"
            restore(service)
    finally:
        subprocess.run(["umount", root], check=True)


def test_the_container_service_is_away(service: VolumeService) -> None:
    """What it would have to say is not guessed: neither who runs nor who is frozen."""
    data = service.make()
    (data / "file").write_text("old")
    create(service)
    mounts = [volume_pb2.MountRequest(type="volume", source="data", target="/data")]
    acquire = volume_pb2.AcquireRequest(owner="container/1", mounts=mounts)
    service.volumes.Acquire(acquire)
    calls = service.snapshots
    asked = (
        (calls.RestoreSnapshot, pb.RestoreSnapshotRequest(volume="data", name="one")),
        (calls.CreateSnapshot, pb.CreateSnapshotRequest(volume="data", name="two", freeze=True)),
    )
    for call, request in asked * 3:  # also when it is known already that nobody answers
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert reason(caught.value) == "SERVICE_UNAVAILABLE"
    assert names(service) == ["one"]
    service.volumes.Release(volume_pb2.ReleaseRequest(owner="container/1"))
