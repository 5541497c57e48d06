"""Compressing files: the same content always gives the same bytes with the same version of the libraries."""

from __future__ import annotations

import hashlib
import os
from typing import Protocol

import zstandard
from isal import isal_zlib

_PIECE = 1 << 20
_GZIP_LEVEL = 1
_GZIP = 31  # window bits, with gzip's header (zlib.h, deflateInit2)
_ZSTD_LEVEL = 3


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _compressor(kind: str) -> _Compressor:
    if kind == "zstd":
        found: _Compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
        return found
    packer: _Compressor = isal_zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP)
    return packer


def compress(source: int, target: int, kind: str) -> tuple[str, int]:
    """Compress a file into another one; return digest and size of that.

    Args:
        source: Descriptor of the file.
        target: Of an empty file.
        kind: "gzip" or "zstd".

    Raises:
        OSError: The kernel refuses something.
    """
    packer = _compressor(kind)
    hashed = hashlib.sha256()
    size = offset = 0
    while True:
        data = os.pread(source, _PIECE, offset)
        offset += len(data)
        packed = packer.compress(data) if data else packer.flush()
        hashed.update(packed)
        size += len(packed)
        view = memoryview(packed)
        while view:
            view = view[os.write(target, view) :]
        if not data:
            return f"sha256:{hashed.hexdigest()}", size
