"""From a compressed file that may still grow to exact reads of the tar inside.

`Feed` reads what has arrived, a decompressor turns it into pieces, and `TarStream` hashes the pieces and hands
out exactly as many bytes as are asked for. Reading with decompressing, and hashing, run in threads ahead of the
one that writes files: all of them, and the writing, spend their time outside of the interpreter's lock.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from scow.core.archive.read.ahead import Ahead
from scow.core.archive.read.faults import LIMIT, Fault, corrupt
from scow.kernel import syscalls

_PIECE = 1 << 18
# Of a file, after which the kernel is asked to begin to write it to the disk: the last fsync has less to wait for.
_STRIDE = 16 << 20
_BLOCK = 512  # of a tar
_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh"
# Zstandard frames may ask for a window of gigabytes; 128 MiB is what `zstd --long` defaults to.
_ZSTD_WINDOW_MAX = 1 << 27
# zstandard does not tell a cut frame from a whole one. So a frame of our own follows the last: only after a whole one
# does it come out again.
_END = b"scow: here the archive ends"

# Tells that more is wanted than `available` bytes, and returns the new number and whether it is final.
Await = Callable[[int], tuple[int, bool]]


class Readable(Protocol):
    """Where compressed bytes come from."""

    def read(self, size: int = ..., /) -> bytes:
        """Return some bytes, none at the end."""


class Feed:
    """A file that may still grow.

    Args:
        descriptor: The file; its position is not used.
        wait: Called when all that is known to be there has been read.
    """

    def __init__(self, descriptor: int, wait: Await) -> None:
        self._descriptor = descriptor
        self._wait = wait
        self._position = 0
        self._available = 0
        self._final = False

    def read(self, size: int = _PIECE) -> bytes:
        """Return some bytes, none at the end."""
        while self._position >= self._available:
            if self._final:
                return b""
            self._available, self._final = self._wait(self._position)
        size = min(size, self._available - self._position)
        data = os.pread(self._descriptor, size, self._position)
        if not data:
            raise corrupt("the archive's file is shorter than it was said to be")
        before, self._position = self._position, self._position + len(data)
        _let_write(self._descriptor, before, self._position)
        return data


def _let_write(descriptor: int, before: int, now: int) -> None:
    """Let a part of a file go to the disk, now and then."""
    if before // _STRIDE != now // _STRIDE:
        syscalls.start_writing(descriptor, 0, now)


def compression(start: bytes) -> str:
    """Return "gzip", "zstd", "xz", "bzip2" or "" by the first block of a file."""
    if start[257:262] == b"ustar":  # the first entry's name may look like anything
        return ""
    for magic, name in ((_GZIP, "gzip"), (_ZSTD, "zstd"), (_XZ, "xz"), (_BZIP2, "bzip2")):
        if start.startswith(magic):
            return name
    return ""


def plain(feed: Readable) -> tuple[str, Iterator[bytes]]:
    """Return the kind of compression and the decompressed pieces."""
    start = b""
    while len(start) < _BLOCK and (more := feed.read()):
        start += more
    kind = compression(start)
    pieces = _chain(start, feed)
    if kind == "gzip":
        return kind, _members(pieces, _inflater, b"\0")
    if kind == "zstd":
        return kind, _zstd(pieces)
    if kind == "xz":
        return kind, _members(pieces, lzma.LZMADecompressor, b"\0")
    if kind == "bzip2":
        return kind, _members(pieces, bz2.BZ2Decompressor, b"")
    return kind, pieces


def _chain(start: bytes, feed: Readable) -> Iterator[bytes]:
    while start:
        yield start
        start = feed.read()


class _Decompressor(Protocol):
    """What the decompressors of isal, lzma and bz2 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _inflater() -> _Decompressor:
    from isal import isal_zlib

    return isal_zlib.decompressobj(wbits=31)


def _damage() -> tuple[type[Exception], ...]:
    from isal import isal_zlib

    inflate_error: Any = isal_zlib.error
    return (inflate_error, lzma.LZMAError, OSError, EOFError, ValueError)


class _Member:
    """One look for zlib's and lzma's decompressors: pieces of bounded size, whatever the input swells to."""

    def __init__(self, inner: _Decompressor) -> None:
        self._inner = inner

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the data decompresses to."""
        inner = self._inner
        piece = inner.decompress(data, _PIECE * 4)
        while piece:
            yield piece
            if inner.eof:
                return
            tail = getattr(inner, "unconsumed_tail", b"")
            piece = inner.decompress(tail, _PIECE * 4)

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        return self._inner.eof

    @property
    def unused(self) -> bytes:
        """What follows the member's end."""
        return self._inner.unused_data


def _members(
    pieces: Iterator[bytes],
    make: Callable[[], _Decompressor],
    padding: bytes,
) -> Iterator[bytes]:
    """Decompress members that follow each other, as pigz and eStargz write; padding may follow the last."""
    damage = _damage()
    current: _Member | None = _Member(make())
    for data in pieces:
        while data:
            if current is None:
                data = data.lstrip(padding) if padding else data
                if not data:
                    break
                current = _Member(make())
            try:
                yield from current.pieces(data)
            except damage as error:
                raise corrupt(f"the archive cannot be decompressed: {error}") from error
            data = b""
            if current.eof:
                data = current.unused
                current = None
    if current is not None:
        raise corrupt("the archive is cut short: its compressed data has no end")


class _Readable:
    """Pieces as a file, for zstandard: its other faces have no bound on what they return at once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return some bytes, none at the end."""
        data = self._rest or next(self._pieces, b"")
        self._rest = data[size:]
        return data[:size]


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX)
    # The type stubs ask for a whole IO[bytes]; read() is all that is used.
    source: Any = _Readable(_followed_by(pieces, zstandard.ZstdCompressor().compress(_END)))
    reader = context.stream_reader(source, read_size=_PIECE, read_across_frames=True)
    held = b""
    try:
        while piece := reader.read(_PIECE * 3):
            held += piece
            yield held[: -len(_END)]
            held = held[-len(_END) :]
    except zstandard.ZstdError as error:
        raise corrupt(f"the archive cannot be decompressed: {error}") from error
    if held != _END:
        raise corrupt("the archive is cut short: its compressed data has no end")


def _followed_by(pieces: Iterator[bytes], last: bytes) -> Iterator[bytes]:
    yield from pieces
    yield last


class TarStream:
    """Exact reads of a stream of pieces, hashed on the way.

    Args:
        pieces: The plain bytes.
        limit: At most this many bytes.
        copy_to: A descriptor that gets a copy of all bytes, or None.
        hashed: Whether `finish` is asked for the digest.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        limit: int,
        copy_to: int | None = None,
        *,
        hashed: bool = True,
    ) -> None:
        self._hash = hashlib.sha256()
        self._limit = limit
        self._copy_to = copy_to
        self._total = self._copied = 0
        self._piece = memoryview(b"")
        self._position = 0
        self._passed = 0  # bytes before the piece
        self._stages = [Ahead(self._limited(pieces))]
        if hashed:
            self._stages.append(Ahead(self._hashing(self._stages[0])))

    def _limited(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._total += len(piece)
            if self._total > self._limit:
                raise Fault(LIMIT, f"the archive is larger than {self._limit} bytes")
            yield piece

    def _hashing(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._hash.update(piece)
            yield piece

    def _next(self) -> bool:
        """Get the next piece; False at the end."""
        piece = next(self._stages[-1], None)
        if piece is None:
            return False
        if self._copy_to is not None:
            self._copy(self._copy_to, piece)
        self._passed += len(self._piece)
        self._piece = memoryview(piece)
        self._position = 0
        return True

    def _copy(self, descriptor: int, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]
        before, self._copied = self._copied, self._copied + len(piece)
        _let_write(descriptor, before, self._copied)

    @property
    def offset(self) -> int:
        """How many bytes have been handed out."""
        return self._passed + self._position

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes, or fewer at the end."""
        position = self._position
        end = position + size
        if end <= len(self._piece):
            self._position = end
            return bytes(self._piece[position:end])
        return b"".join(self.parts(size, strict=False))

    def parts(self, size: int, *, strict: bool = True) -> Iterator[memoryview]:
        """Yield `size` bytes in pieces.

        Raises:
            Fault: The stream ends before.
        """
        while size > 0:
            left = len(self._piece) - self._position
            if left == 0:
                if self._next():
                    continue
                if strict:
                    raise corrupt("the archive is cut short: it ends within a file")
                return
            take = min(left, size)
            part = self._piece[self._position : self._position + take]
            self._position += take
            size -= take
            yield part

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        position = self._position + size
        if position <= len(self._piece):
            self._position = position
            return
        for _ in self.parts(size):
            pass

    def finish(self) -> tuple[str, int]:
        """Read to the end; return the digest ("sha256:...") and number of all plain bytes."""
        while self._next():
            pass
        return f"sha256:{self._hash.hexdigest()}", self._total

    def close(self) -> None:
        """End the threads that read ahead; they must not be waiting for a file to grow."""
        for stage in reversed(self._stages):
            stage.close()
