"""Volumes on file systems with limits: in the virtual machine alone, whose kernel has them."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.volume.v1 import quota_pb2 as pb
from scow.api.volume.v1 import snapshot_pb2, volume_pb2
from scow.kernel import syscalls
from tests.support.volumeservice import VolumeService

_MIB = 1 << 20
_CAP_SYS_RESOURCE = 1 << 24
_LIMITED = {
    "ext4": (["mkfs.ext4", "-q", "-O", "quota,project"], "loop,prjquota"),
    "xfs": (["mkfs.xfs", "-q"], "loop,prjquota"),
}


def _mounted(folder: Path, command: list[str], options: str) -> Iterator[VolumeService]:
    disk, root = folder / "disk", folder / "root"
    root.mkdir()
    with disk.open("wb") as file:
        file.truncate(512 * _MIB)
    subprocess.run([*command, disk], check=True)
    subprocess.run(["mount", "-o", options, disk, root], check=True)
    try:
        with VolumeService(root=root) as service:
            yield service
    finally:
        subprocess.run(["umount", root], check=True)


@pytest.fixture(params=_LIMITED)
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VolumeService]:
    yield from _mounted(tmp_path, *_LIMITED[request.param])


def limit(service: VolumeService, size: int, inodes: int, volume: str = "data") -> None:
    service.quotas.SetLimits(pb.SetLimitsRequest(volume=volume, size=size, inodes=inodes))


def limits(service: VolumeService) -> pb.Limits:
    found: pb.Limits = service.quotas.GetLimits(pb.GetLimitsRequest(volume="data")).limits
    return found


@contextlib.contextmanager
def _without_privilege() -> Iterator[None]:
    """Do without CAP_SYS_RESOURCE, as containers do: on ext4, who has it is bound by no limit."""
    effective, permitted = syscalls.capget()
    syscalls.capset(effective & ~_CAP_SYS_RESOURCE, permitted, 0)
    try:
        yield
    finally:
        syscalls.capset(effective, permitted, 0)


def write(path: Path, size: int) -> int:
    """Write a file; return 0, or the number of the error."""
    try:
        with _without_privilege(), path.open("wb", buffering=0) as file:
            for _ in range(size // _MIB):
                file.write(os.urandom(_MIB))
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno or -1
    return 0


_FULL = (errno.ENOSPC, errno.EDQUOT)


def test_limits_hold_and_change_live(limited: VolumeService) -> None:
    data, other = limited.make("data"), limited.make("other")
    (data / "folder").mkdir()
    assert write(data / "folder/before", 2 * _MIB) == 0
    limit(limited, 8 * _MIB, 0)
    assert write(data / "folder/much", 16 * _MIB) in _FULL
    assert write(other / "much", 16 * _MIB) == 0
    (data / "folder/much").unlink()
    limit(limited, 32 * _MIB, 0)
    assert write(data / "folder/much", 16 * _MIB) == 0
    told = limits(limited)
    assert told.size == 32 * _MIB
    assert 18 * _MIB <= told.used_size <= 20 * _MIB
    limit(limited, 0, told.used_inodes + 1)
    (data / "one").touch()
    assert write(data / "two", 0) in _FULL
    limit(limited, 0, 0)
    (data / "two").touch()


def test_a_volume_is_made_with_limits(limited: VolumeService) -> None:
    request = volume_pb2.CreateRequest(name="data", size=8 * _MIB, inodes=3)
    data = Path(limited.volumes.Create(request).volume.mountpoint)
    assert write(data / "much", 16 * _MIB) in _FULL
    (data / "much").unlink()
    (data / "one").touch()
    (data / "two").touch()
    assert write(data / "three", 0) in _FULL
    option = volume_pb2.CreateRequest(name="other", options={"size": "8m"})
    other = Path(limited.volumes.Create(option).volume.mountpoint)
    assert write(other / "much", 16 * _MIB) in _FULL


def test_limits_outlive_kills_and_restores(limited: VolumeService) -> None:
    data = limited.make("data")
    limit(limited, 8 * _MIB, 0)
    assert write(data / "file", 5 * _MIB) == 0
    request = snapshot_pb2.CreateSnapshotRequest(volume="data", name="one")
    limited.snapshots.CreateSnapshot(request)
    assert write(data / "further", 2 * _MIB) == 0
    # What is there and what comes in its place do not count together.
    restore = snapshot_pb2.RestoreSnapshotRequest(volume="data", name="one")
    limited.snapshots.RestoreSnapshot(restore)
    assert write(data / "further", 16 * _MIB) in _FULL
    (data / "further").unlink()
    limited.kill_when(
        lambda: not (data / "marker").exists(),
        limited.snapshots.RestoreSnapshot,
        restore,
        records_locked=True,
    )
    limited.volumes.Reconcile(volume_pb2.ReconcileRequest())
    assert write(data / "further", 16 * _MIB) in _FULL
    assert limits(limited).used_size <= 8 * _MIB
    remove = snapshot_pb2.RemoveSnapshotRequest(volume="data", name="one")
    limited.snapshots.RemoveSnapshot(remove)
    limited.volumes.Remove(volume_pb2.RemoveRequest(name="data"))
    again = limited.make("data")
    assert write(again / "file", 16 * _MIB) == 0
    limit(limited, 20 * _MIB, 0)
    assert write(again / "more", 16 * _MIB) in _FULL
