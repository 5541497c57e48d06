"""Snapshots and clones on file systems where copies share their data with the volume."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.volume.v1 import quota_pb2, snapshot_pb2
from tests.support.disks import loop_device
from tests.support.volumeservice import VolumeService, reason

_MIB = 1 << 20


@pytest.fixture(params=["btrfs", "xfs"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VolumeService]:
    root = tmp_path / "root"
    root.mkdir()
    with loop_device(tmp_path / "disk", 512 * _MIB, [f"mkfs.{request.param}", "-q"]) as device:
        subprocess.run(["mount", device, root], check=True)
        try:
            with VolumeService(root=root) as service:
                yield service
        finally:
            subprocess.run(["umount", root], check=True)


def test_snapshots_take_no_room(shared: VolumeService) -> None:
    data = shared.make("data")
    (data / "file").write_bytes(os.urandom(100 * _MIB))
    os.sync()
    before = os.statvfs(shared.root)
    for index in range(5):
        request = snapshot_pb2.CreateSnapshotRequest(volume="data", name=f"s{index}")
        assert shared.snapshots.CreateSnapshot(request).snapshot.shared
    clone = shared.snapshots.Clone(snapshot_pb2.CloneRequest(volume="data", name="clone")).volume
    after = os.statvfs(shared.root)
    assert (before.f_bavail - after.f_bavail) * after.f_frsize < 50 * _MIB
    (data / "file").write_bytes(b"new")
    assert (Path(clone.mountpoint) / "file").stat().st_size == 100 * _MIB
    shared.snapshots.RestoreSnapshot(snapshot_pb2.RestoreSnapshotRequest(volume="data", name="s0"))
    assert (data / "file").stat().st_size == 100 * _MIB


def test_a_file_system_without_limits(shared: VolumeService) -> None:
    shared.make("data")
    with pytest.raises(grpc.RpcError) as caught:
        shared.quotas.SetLimits(quota_pb2.SetLimitsRequest(volume="data", size=_MIB))
    assert reason(caught.value) == "QUOTA_UNSUPPORTED"
