"""Where archives go: files that are whole or as they were before, devices, pipes."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO, TypeVar

from scow.api.container.v1.container_pb2 import ExportResponse
from scow.api.image.v1.archive_pb2 import SaveResponse
from scow.client._aio import sync, write
from scow.client._async.stream import AsyncStream

Place = str | os.PathLike[str] | BinaryIO


P = TypeVar("P", SaveResponse, ExportResponse)


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
    """Write to a temporary name beside the path, and rename it when all is there."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb") as file:
            await _write_all(stream, file)
            await sync(file)  # else a power cut leaves an empty file with the name of a whole one
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
