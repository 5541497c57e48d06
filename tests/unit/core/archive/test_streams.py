"""From compressed bytes that arrive in pieces to plain ones."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import tempfile
from collections.abc import Callable, Iterator

import pytest
import zstandard

from scow.core.archive.read import faults
from scow.core.archive.read.faults import Fault
from scow.core.archive.read.streams import Feed, TarStream, plain

PLAIN = os.urandom(300_000) + bytes(2_000_000) + b"end"
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
# Bytes alone say nothing about where plain ones end.
PACKED = [kind for kind in COMPRESSORS if kind]


def feed(data: bytes, step: int = 10_000) -> Feed:
    """Return a feed of a file that seems to grow."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        descriptor = os.dup(file.fileno())

    def wait(position: int) -> tuple[int, bool]:
        available = min(position + step, len(data))
        return available, available == len(data)

    return Feed(descriptor, wait)


def read(data: bytes) -> tuple[str, bytes]:
    kind, pieces = plain(feed(data))
    return kind, b"".join(pieces)


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_round_trip(kind: str) -> None:
    assert read(COMPRESSORS[kind](PLAIN)) == (kind, PLAIN)


@pytest.mark.parametrize("kind", PACKED)
def test_members_that_follow_each_other(kind: str) -> None:
    pack = COMPRESSORS[kind]
    assert read(pack(b"one") + pack(b"two") + pack(PLAIN)) == (kind, b"onetwo" + PLAIN)


def test_padding_after_gzip() -> None:
    assert read(gzip.compress(b"one") + bytes(1000)) == ("gzip", b"one")


def test_skippable_frames_of_zstd() -> None:
    skipped = (0x184D2A50).to_bytes(4, "little") + (100).to_bytes(4, "little") + bytes(100)
    pack = COMPRESSORS["zstd"]
    assert read(pack(b"one") + skipped + pack(b"two") + skipped) == ("zstd", b"onetwo")


@pytest.mark.parametrize("lost", [1, 4, 100, 10_000])
@pytest.mark.parametrize("kind", PACKED)
def test_cut_short(kind: str, lost: int) -> None:
    with pytest.raises(Fault) as caught:
        read(COMPRESSORS[kind](PLAIN)[:-lost])
    assert caught.value.kind == faults.CORRUPT


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_damaged(kind: str) -> None:
    packed = bytearray(COMPRESSORS[kind](PLAIN))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(Fault) as caught:
        read(bytes(packed))
    assert caught.value.kind == faults.CORRUPT


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_meets_the_limit_in_bounded_pieces(kind: str) -> None:
    _, pieces = plain(feed(COMPRESSORS[kind](bytes(50_000_000))))
    longest = 0

    def watched() -> Iterator[bytes]:
        nonlocal longest
        for piece in pieces:
            longest = max(longest, len(piece))
            yield piece

    stream = TarStream(watched(), limit=10_000_000)
    with pytest.raises(Fault) as caught:
        stream.finish()
    assert caught.value.kind == faults.LIMIT
    assert longest <= 1 << 20


def test_exact_reads_digest_and_copy() -> None:
    pieces = [PLAIN[at : at + 777] for at in range(0, len(PLAIN), 777)]
    with tempfile.TemporaryFile() as copy:
        stream = TarStream(iter(pieces), 1 << 30, copy.fileno())
        assert stream.read(5) == PLAIN[:5]
        stream.skip(10_000)
        assert b"".join(stream.parts(2000)) == PLAIN[10_005:12_005]
        assert stream.finish() == (f"sha256:{hashlib.sha256(PLAIN).hexdigest()}", len(PLAIN))
        assert os.pread(copy.fileno(), len(PLAIN) + 1, 0) == PLAIN
