"""Writing tars: the same files give the same bytes."""

from __future__ import annotations

import tarfile

BLOCK = 512
# Two empty blocks end an archive, and it is filled up to a record of 20 (GNU tar manual, "Blocking Factor").
_RECORD = 20 * BLOCK


def file_header(name: str, size: int) -> bytes:
    """Return the header of a file: root's, readable by all, of 1970."""
    return _header(name, tarfile.REGTYPE, 0o644, size)


def folder_header(name: str) -> bytes:
    """Return the header of a folder."""
    return _header(name, tarfile.DIRTYPE, 0o755, 0)


def _header(name: str, kind: bytes, mode: int, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """Return what follows the data of a file of this size."""
    return bytes(-size % BLOCK)


def end(size: int) -> bytes:
    """Return what ends an archive of this size."""
    least = size + 2 * BLOCK
    return bytes(2 * BLOCK + -least % _RECORD)
