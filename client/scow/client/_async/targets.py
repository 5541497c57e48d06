"""Targets of archives: files, which are replaced whole or not at all, devices, pipes."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import BinaryIO, TypeVar

from scow.api.container.v1.container_pb2 import ExportResponse
from scow.api.image.v1.archive_pb2 import SaveResponse
from scow.api.volume.v1.archive_pb2 import ExportResponse as VolumeExportResponse
from scow.client._aio import sync, write
from scow.client._async.stream import AsyncStream

Place = str | os.PathLike[str] | BinaryIO


P = TypeVar("P", SaveResponse, ExportResponse, VolumeExportResponse)


async def write_to(stream: AsyncStream[P], target: Place) -> None:
    """Write an archive that arrives in pieces.

    Args:
        stream: Of the pieces.
        target: Path or open binary file. A file at the path is replaced when the archive is complete.

    Raises:
        OSError: The target cannot be written.
    """
    if not isinstance(target, (str, os.PathLike)):
        await _write_all(stream, target)
        return
    path = os.fspath(target)
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe
        with open(path, "wb") as file:
            await _write_all(stream, file)
        return
    await _write_file(stream, path)


async def _write_all(stream: AsyncStream[P], file: BinaryIO) -> None:
    async for message in stream:
        await write(file, message.chunk)


async def _write_file(stream: AsyncStream[P], path: str) -> None:
    """Write a file that takes the path's place when all is there; only its owner may read it, as Docker's."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}")
    descriptor, nameless = _create(folder, temporary)
    try:
        with open(descriptor, "wb") as file:
            await _write_all(stream, file)
            await sync(file)  # else a power cut leaves an empty file with the name of a whole one
            if nameless:
                # Given a descriptor, though none is needed, Python follows the link (linkat(2)).
                os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _create(folder: str, temporary: str) -> tuple[int, bool]:
    """Open a new file: without a name, so that none is left by a kill; or with one, where that cannot be."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(folder, flags | os.O_TMPFILE, 0o600), True
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
    return os.open(temporary, flags | os.O_CREAT | os.O_EXCL, 0o600), False
