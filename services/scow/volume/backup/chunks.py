"""`python -m scow.volume.backup.chunks ROOT PARENT`: the tar of a tree, cut into chunks where its content says.

ROOT is a descriptor. Standard input has the SHA-256 of chunks that are stored already, 32 bytes each. Standard output
has the chunks in order, and an end; then all was read::

    chunk  "C", SHA-256 of the plain bytes, u32 their length, u32 length of what follows; compressed by zstd, or
           nothing when the chunk is stored already or was written before
    end    "E"

When something cannot be read, a sentence is on standard error, and the exit code is 1.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable

import zstandard
from pyfastcdc import FastCDC

from scow.core import memory
from scow.core.archive.pack import Packer
from scow.kernel import workers
from scow.volume.backup.format import (
    CHUNK,
    CHUNK_AVERAGE,
    CHUNK_MAX,
    CHUNK_MIN,
    DIGEST_SIZE,
    END,
    HEAD,
)

# CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE (linux/capability.h)
_CAPABILITIES = 1 << 1 | 1 << 2
# So much is gathered before it is cut, as each cut looks a chunk's length ahead.
_GATHERED = 4 * CHUNK_MAX
_LEVEL = 3


class Cutter:
    """Cuts what is written to it.

    The same bytes are cut at the same places, however they are written.

    Args:
        emit: Gets each chunk.
    """

    def __init__(self, emit: Callable[[memoryview], None]) -> None:
        self._emit = emit
        self._cdc = FastCDC(CHUNK_AVERAGE, min_size=CHUNK_MIN, max_size=CHUNK_MAX)
        self._held = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        self._held += data
        if len(self._held) >= _GATHERED:
            self._cut(CHUNK_MAX)

    def finish(self) -> None:
        """Cut what is left."""
        self._cut(0)

    def _cut(self, keep: int) -> None:
        """Cut until so many bytes are left that a further cut could depend on what follows."""
        data, done = bytes(self._held), 0
        for chunk in self._cdc.cut_buf(data):
            if len(data) - done <= keep:
                break
            self._emit(memoryview(data)[done : done + chunk.length])
            done += chunk.length
        self._held = bytearray(data[done:])


class Output:
    """Writes chunks to a descriptor, those that are new with their bytes.

    Args:
        descriptor: Where to.
        known: SHA-256 of chunks that need not be written.
    """

    def __init__(self, descriptor: int, known: set[bytes]) -> None:
        self._descriptor = descriptor
        self._known = known
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def chunk(self, plain: memoryview) -> None:
        """Write a chunk."""
        digest = hashlib.sha256(plain).digest()
        data = b""
        if digest not in self._known:
            self._known.add(digest)
            data = self._compressor.compress(plain)
        self._write(HEAD.pack(CHUNK, digest, len(plain), len(data)) + data)

    def end(self) -> None:
        """Write that this is all."""
        self._write(HEAD.pack(END, bytes(DIGEST_SIZE), 0, 0))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def main() -> int:
    """Cut the tar of a tree."""
    memory.share_one_arena()
    root, parent = int(sys.argv[1]), int(sys.argv[2])
    workers.die_with_parent(parent)
    workers.keep_capabilities(_CAPABILITIES)
    listed = sys.stdin.buffer.read()
    known = {listed[i : i + DIGEST_SIZE] for i in range(0, len(listed), DIGEST_SIZE)}
    output = Output(1, known)
    cutter = Cutter(output.chunk)
    try:
        Packer(cutter.write).pack(root)
        cutter.finish()
        output.end()
    except BrokenPipeError:
        return 0
    except OSError as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
