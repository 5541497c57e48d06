"""Where archives go: files that are whole or as they were before, devices, pipes."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO, TypeVar

from scow.api.container.v1.container_pb2 import ExportResponse
from scow.api.image.v1.archive_pb2 import SaveResponse
from scow.client._sio import sync, write
from scow.client._sync.stream import Stream

Place = str | os.PathLike[str] | BinaryIO


P = TypeVar("P", SaveResponse, ExportResponse)


def write_to(stream: Stream[P], target: Place) -> None:
    """Write an archive that arrives in pieces.

    Args:
        stream: Of the pieces.
        target: Path or open binary file. A file at the path is replaced when the archive is complete.

    Raises:
        OSError: The target cannot be written.
    """
    if not isinstance(target, (str, os.PathLike)):
        _write_all(stream, target)
        return
    path = os.fspath(target)
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe
        with open(path, "wb") as file:
            _write_all(stream, file)
        return
    _write_file(stream, path)


def _write_all(stream: Stream[P], file: BinaryIO) -> None:
    for message in stream:
        write(file, message.chunk)


def _write_file(stream: Stream[P], path: str) -> None:
    """Write to a temporary name beside the path, and rename it when all is there."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb") as file:
            _write_all(stream, file)
            sync(file)  # else a power cut leaves an empty file with the name of a whole one
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
