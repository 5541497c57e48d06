"""Export and import of volumes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scow.api.volume.v1 import archive_pb2 as pb
from scow.api.volume.v1.volume_pb2 import Volume as VolumeMessage
from scow.contract.errors import (
    DataLoss,
    InvalidArchive,
    KernelUnsupported,
    LimitExceeded,
    ScowError,
)
from scow.core import disk
from scow.core.archive import processes
from scow.core.archive.processes import Limits
from scow.core.archive.read import faults
from scow.core.config import VolumeSection
from scow.core.requests import remember
from scow.volume.directories import Directories
from scow.volume.new_volumes import NewVolumes
from scow.volume.snapshots.snapshots import Snapshots
from scow.volume.staging import TREE, Staging

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEFAULT_MODE = 0o755
_ADVICE = {
    faults.HOSTILE: "do not trust this archive",
    faults.DEVICE: "take it with --devices if you trust it",
}


class Archives:
    """Writes volumes as archives, and makes volumes of them."""

    def __init__(
        self,
        settings: VolumeSection,
        snapshots: Snapshots,
        new_volumes: NewVolumes,
        directories: Directories,
        staging: Staging,
    ) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._new_volumes = new_volumes
        self._directories = directories
        self._staging = staging

    async def export(self, request: pb.ExportRequest) -> AsyncGenerator[bytes, None]:
        """Give the tar, piece by piece.

        Raises:
            VolumeNotFound, SnapshotNotFound, VolumeNotLocal: See these classes.
            DataLoss: Something cannot be read.
        """
        folder = self._snapshots.folder_of(request.volume, request.snapshot)
        with _opened(folder) as root, self._directories.reading(root):
            try:
                async with contextlib.aclosing(processes.packed(root)) as pieces:
                    async for piece in pieces:
                        yield piece
            except processes.UnreadableError as error:
                raise DataLoss(
                    f"volume {request.volume} cannot be read: {error}",
                    what="volume",
                    which=request.volume,
                    do="check the file system that holds the engine's root",
                ) from error

    async def import_tar(
        self, request: pb.ImportRequest.Open, chunks: AsyncIterator[bytes]
    ) -> pb.ImportResponse:
        """Make a volume of an archive.

        Raises:
            NameInUse: There is a volume of this name.
            InvalidArchive: It cannot be read, reaches outside of its root, or has what is not taken.
            LimitExceeded, DiskFull: See these classes.
        """
        name, labels = request.name or os.urandom(32).hex(), dict(request.labels)
        async with self.made(name, labels, chunks, devices=request.devices) as (tx, volume, done):
            response = pb.ImportResponse(volume=volume, skipped_xattrs=done["skipped_xattrs"])
            remember(tx, response)
        return response

    @contextlib.asynccontextmanager
    async def made(
        self, name: str, labels: dict[str, str], chunks: AsyncIterator[bytes], *, devices: bool
    ) -> AsyncIterator[tuple[sqlite3.Connection, VolumeMessage, dict[str, Any]]]:
        """Make a volume of an archive; the block runs in the transaction that records it, and must not await.

        It gets the transaction, the volume, and what was done. Errors are those of `import_tar`.
        """
        self._new_volumes.check(name, labels)
        limits = Limits(self._settings.max_import_bytes, self._settings.max_import_entries, devices)
        async with self._staging.place() as place:
            done = await self._extract(place, limits, chunks)
            await self._staging.sync(place)
            async with self._new_volumes.added(place, name, labels) as (tx, volume):
                yield tx, volume, done

    async def _extract(
        self, place: Path, limits: Limits, chunks: AsyncIterator[bytes]
    ) -> dict[str, Any]:
        tree = place / TREE
        with disk.writing(place):
            tree.mkdir(mode=0o700)
        with _opened(tree) as root:
            answer = await processes.extracted(root, limits, chunks)
            if "fault" in answer:
                raise _error(**answer["fault"], place=place)
            done: dict[str, Any] = answer["done"]
            if not done["has_root"]:
                os.fchmod(root, _DEFAULT_MODE)
        return done


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _error(kind: str, message: str, entry: str, place: Path) -> ScowError:
    text = f"{message} (entry {entry!r})" if entry else message
    if kind == faults.DISK_FULL:
        return disk.full(place.parent)
    if kind == faults.REFUSED:
        do = "check the file system that holds the engine's root"
        return KernelUnsupported(text, what="entry", which=entry, do=do)
    if kind == faults.LIMIT:
        do = "raise volume.max_import_bytes or max_import_entries"
        return LimitExceeded(text, what="archive", which=entry, do=do)
    do = _ADVICE.get(kind, "make the archive again")
    return InvalidArchive(text, what="archive", which=entry, do=do)
