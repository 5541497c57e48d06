"""The volume service alone, with what tests of its content need."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from scow.api.volume.v1 import volume_pb2 as pb
from scow.api.volume.v1.archive_pb2_grpc import ArchiveServiceStub
from scow.api.volume.v1.plugin_pb2_grpc import PluginServiceStub
from scow.api.volume.v1.quota_pb2_grpc import QuotaServiceStub
from scow.api.volume.v1.snapshot_pb2_grpc import SnapshotServiceStub
from scow.api.volume.v1.volume_pb2_grpc import VolumeServiceStub
from tests.support import processes
from tests.support.service import Service, from_rpc_error

# Folders of the service's where what is being made or deleted is.
_PASSING = ("staging", "trash", "former")


class VolumeService(Service):
    """`python -m scow.volume`, on a tmpfs: content is synced before it is recorded, and disks are shared with others.

    Args:
        root: As in `Service`.
        settings: Keys of the configuration as SCOW_* variables.
    """

    def __init__(self, root: Path | None = None, settings: dict[str, str] | None = None) -> None:
        super().__init__("volume", root=root, settings=settings, folder="/dev/shm")
        self.volumes: Any = VolumeServiceStub(self.channel)
        self.snapshots: Any = SnapshotServiceStub(self.channel)
        self.plugins: Any = PluginServiceStub(self.channel)
        self.quotas: Any = QuotaServiceStub(self.channel)
        self.archives: Any = ArchiveServiceStub(self.channel)

    def make(self, name: str = "data") -> Path:
        """Make a volume; return its folder."""
        return Path(self.volumes.Create(pb.CreateRequest(name=name)).volume.mountpoint)

    def leftovers(self) -> list[str]:
        """Return what is neither a volume's content nor a snapshot's, and what these folders have beside it."""
        found = [f"{name}/{each}" for name in _PASSING for each in _names(self.data / name)]
        for name in _names(self.data / "volumes"):
            found += [f"{name}/{each}" for each in _names(self.data / "volumes" / name)]
        return [each for each in found if not each.endswith("/_data")]

    def kill_when(
        self, condition: Any, call: Any, request: Any, *, records_locked: bool = False
    ) -> None:
        """Make a call, kill the service when a condition is met, and start it again.

        Args:
            condition: Of what the service has done by then.
            call: Of a stub.
            request: Its request.
            records_locked: Keep the service from recording anything: it is killed right before it would.
        """
        locked = self._records_locked() if records_locked else contextlib.nullcontext()
        with ThreadPoolExecutor(1) as pool:
            with locked:
                future = pool.submit(call, request)
                processes.wait_for(condition, "the moment to kill")
                assert not future.done(), future.result()
                self.stop(signal.SIGKILL)
            self.start()
            assert isinstance(future.exception(), grpc.RpcError)

    @contextlib.contextmanager
    def _records_locked(self) -> Iterator[None]:
        database = sqlite3.connect(self.data / "volume.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            database.close()


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def reason(error: BaseException | None) -> str:
    """Return the reason of a failed call."""
    assert isinstance(error, grpc.RpcError)
    return from_rpc_error(error).reason
