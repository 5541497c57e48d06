"""Copies out of containers and into them, as tars."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from scow.api.container.v1 import files_pb2 as pb
from scow.container.files import places
from scow.container.files.places import Place, Root
from scow.container.files.roots import Roots, lasting
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import (
    DataLoss,
    DeadlineExceeded,
    FileNotFound,
    InvalidArchive,
    InvalidArgument,
    LimitExceeded,
    ReadOnlyRoot,
    ScowError,
    ShimDied,
)
from scow.core import disk
from scow.core.archive import processes
from scow.core.archive.read import faults

_PACKER = "scow.container.files.pack"
# The container may be kept from starting meanwhile: so long nothing may come of the caller.
_PATIENCE_SECONDS = 60.0
_NO_DEVICES = (0, 0)


class Copies:
    """Copies files."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._roots = Roots(shared)

    async def stat(self, request: pb.StatPathRequest) -> pb.PathStat:
        """Tell what a path of a container leads to.

        Raises:
            FileNotFound, InvalidArgument: Nothing, or it is no path.
            ContainerNotRunning: It is in what is mounted only while the container runs.
            ContainerBusy: It is being made or removed.
        """
        entry = self._shared.containers.find(request.container)
        async with self._roots.opened(entry) as root:
            return await asyncio.to_thread(_described, entry, root, request.path)

    async def out(self, request: pb.CopyOutRequest) -> AsyncGenerator[pb.CopyOutResponse, None]:
        """Give what a path leads to, and all below it.

        Raises:
            As `stat`; DataLoss: Something cannot be read.
        """
        entry = self._shared.containers.find(request.container)
        async with self._roots.opened(entry) as root:
            with _found(root, request.path, whole=True) as place, lasting(entry, root, place):
                yield pb.CopyOutResponse(stat=places.describe(root, place, request.path))
                names = (os.fsdecode(place.name), os.fsdecode(place.title))
                numbers = (*_devices(root.descriptor), root.first_id)
                arguments = (*names, *map(str, numbers))
                packed = processes.packed(place.directory, _PACKER, *arguments)
                try:
                    async with contextlib.aclosing(packed) as pieces:
                        async for piece in pieces:
                            yield pb.CopyOutResponse(chunk=piece)
                except processes.UnreadableError as error:
                    raise DataLoss(
                        f"files of container {entry.described.name} cannot be read: {error}",
                        what="container",
                        which=entry.described.name,
                        do="try again, or copy less",
                    ) from error

    async def into(
        self, opened: pb.CopyInRequest.Open, chunks: AsyncIterator[bytes]
    ) -> pb.CopyInResponse:
        """Write the entries of a tar into a directory.

        Raises:
            As `stat`; ContainerNotRunning also when the container ended, and what is mounted there with it.
            ReadOnlyRoot: Nothing can be written there.
            InvalidArchive, LimitExceeded, DiskFull: See these classes; what was written before stays.
            DeadlineExceeded: Nothing came for a minute.
        """
        entry = self._shared.containers.find(opened.container)
        async with self._roots.opened(entry) as root:
            target = _directory(root, opened.path)
            try:
                place = Place(target, b".", b".")
                places.check_mounted(root, place, opened.path)
                _check_writable(root.descriptor, target, opened.path)
                with lasting(entry, root, place):
                    answer = await self._extracted(target, root.first_id, _patient(chunks))
            finally:
                os.close(target)
        if "fault" in answer:
            raise _error(**answer["fault"], path=opened.path)
        done: dict[str, Any] = answer["done"]
        containers = self._shared.containers
        if not entry.gone:
            with containers.store.store.transaction() as tx:
                containers.journal(tx, entry.described, "extract-to-dir")
        return pb.CopyInResponse(size=done["size"], entries=done["inodes"])

    async def _extracted(
        self, target: int, first_id: int, chunks: AsyncIterator[bytes]
    ) -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                await self._shared.spawner.extract(target, theirs, first_id)
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        feeding = asyncio.create_task(_feed(writer, chunks))
        try:
            answer = await reader.read()
            if feeding.done() or not answer:
                await feeding  # who sends has failed: that the archive is cut short follows from it
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
            writer.close()
        if not answer:
            raise ShimDied(
                "the process that writes the files was killed",
                what="process",
                which="scow.core.archive.read.extract",
                do="try again",
            )
        found: dict[str, Any] = json.loads(answer)
        return found


def _described(entry: Entry, root: Root, path: bytes) -> pb.PathStat:
    with _found(root, path) as place, lasting(entry, root, place):
        return places.describe(root, place, path)


@contextlib.contextmanager
def _found(root: Root, path: bytes, *, whole: bool = False) -> Iterator[Place]:
    try:
        place = places.find(root.descriptor, path)
    except FileNotFound:
        places.refuse_missing(root, path)
        raise
    try:
        places.check_mounted(root, place, path, whole=whole)
        yield place
    finally:
        os.close(place.directory)


def _directory(root: Root, path: bytes) -> int:
    try:
        return places.directory(root.descriptor, path)
    except FileNotFound:
        places.refuse_missing(root, path)
        raise


def _devices(root: int) -> tuple[int, int]:
    """Return what is mounted at /dev, if something is."""
    with contextlib.suppress(FileNotFound):
        found = places.directory(root, b"/dev")
        try:
            status = os.fstat(found)
        finally:
            os.close(found)
        if status.st_dev != os.fstat(root).st_dev:
            return status.st_dev, status.st_ino
    return _NO_DEVICES


def _check_writable(root: int, target: int, path: bytes) -> None:
    if not os.fstatvfs(target).f_flag & os.ST_RDONLY:
        return
    of_root = os.fstat(target).st_dev == os.fstat(root).st_dev
    raise ReadOnlyRoot(
        "container rootfs is marked read-only" if of_root else "mounted volume is marked read-only",
        what="path",
        which=path.decode(errors="replace"),
        do="copy into a volume that is writable",
    )


async def _patient(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"nothing of the archive came for {_PATIENCE_SECONDS:.0f} seconds",
                what="archive",
                do="copy again",
            ) from error
        if chunk is None:
            return
        yield chunk


async def _feed(writer: asyncio.StreamWriter, chunks: AsyncIterator[bytes]) -> None:
    """Hand an archive over; a process that has seen enough takes no more."""
    try:
        async for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        return
    except BaseException:
        writer.transport.abort()
        raise


def _error(kind: str, message: str, entry: str, path: bytes) -> ScowError:
    where = path.decode(errors="replace")
    text = f"{message} (entry {entry!r})" if entry else message
    if kind == faults.DISK_FULL:
        return disk.full_at(f"{where} of the container")
    if kind == faults.LIMIT:
        return LimitExceeded(text, what="archive", which=entry, do="copy less at once")
    if kind == faults.REFUSED:
        return InvalidArgument(text, what="entry", which=entry, do="see what is mounted there")
    return InvalidArchive(text, what="archive", which=entry, do="see what the container has there")
