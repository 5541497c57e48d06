"""What a backup is at a registry, and what strangers may make of that."""

from __future__ import annotations

import json
import random
import struct
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
import zstandard

from scow.contract.errors import DigestMismatch, InvalidBackup, LimitExceeded
from scow.volume.backup import format as layout
from scow.volume.backup import reading
from scow.volume.backup.chunks import Cutter
from scow.volume.backup.format import CHUNK_MAX, CHUNK_MIN, Blob, Chunk, Index, decompressed
from scow.volume.backup.writing import worthwhile

DIGEST = f"sha256:{'a' * 64}"
INDEX = Index(
    packs=[Blob(DIGEST, 100)],
    chunks=[Chunk(0, 0, 60, 1000, b"x" * 32), Chunk(0, 60, 40, 2000, b"y" * 32)],
    order=[0, 1, 0],
    size=4000,
)


def cut(data: bytes, piece: int) -> list[bytes]:
    found: list[bytes] = []
    cutter = Cutter(lambda chunk: found.append(bytes(chunk)))
    for start in range(0, len(data), piece):
        cutter.write(data[start : start + piece])
    cutter.finish()
    return found


def test_an_index_comes_back() -> None:
    assert Index.of_bytes(INDEX.to_bytes()) == INDEX


def packed(head: dict[str, Any], tables: bytes = b"") -> bytes:
    return zstandard.compress(json.dumps(head).encode() + b"\n" + tables)


HEAD = {"version": 1, "chunks": 1, "order": 1, "size": 1000, "packs": [[DIGEST, 100]]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        zstandard.compress(b"[]\n"),
        zstandard.compress(b"[" * 100_000),
        packed({**HEAD, "version": 2}),
        packed({**HEAD, "chunks": -1}),
        packed({**HEAD, "chunks": "many"}),
        packed({**HEAD, "chunks": 1 << 60}),
        packed({**HEAD, "chunks": float("inf")}),
        zstandard.compress(json.dumps(HEAD).replace('"order": 1', '"order": 1e999').encode()),
        packed({**HEAD, "packs": [["../x", 100]], "chunks": 0, "order": 0, "size": 0}),
        packed({**HEAD, "packs": [[DIGEST, -5]], "chunks": 0, "order": 0, "size": 0}),
        packed(HEAD, struct.pack("<IIII32sI", 1, 0, 60, 1000, b"x", 0)),
        packed(HEAD, struct.pack("<IIII32sI", 0, 50, 60, 1000, b"x", 0)),
        packed(HEAD, struct.pack("<IIII32sI", 0, 0, 60, 1 << 31, b"x", 0)),
        packed(HEAD, struct.pack("<IIII32sI", 0, 0, 60, 1000, b"x", 7)),
        packed({**HEAD, "size": 999}, struct.pack("<IIII32sI", 0, 0, 60, 1000, b"x", 0)),
    ],
)
def test_bad_indexes(data: bytes) -> None:
    with pytest.raises(InvalidBackup):
        Index.of_bytes(data)


@pytest.mark.parametrize("stated", [True, False])
def test_what_swells_is_bounded(stated: bool) -> None:
    frame = zstandard.ZstdCompressor(write_content_size=stated).compress(bytes(50 << 20))
    assert len(frame) < 10_000
    with pytest.raises(InvalidBackup, match=f"more than {48 << 20} bytes"):
        Index.of_bytes(frame)
    # No more is allocated than the limit.
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"more than {1 << 20} bytes"):
        decompressed(frame, 1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()
    assert decompressed(frame, 50 << 20) == bytes(50 << 20)


def test_a_chunk_that_swells_is_damaged() -> None:
    pack = zstandard.compress(bytes(5 << 20))
    chunk = Chunk(0, 0, len(pack), CHUNK_MAX, b"x" * 32)
    with pytest.raises(DigestMismatch) as caught:
        reading._plain(chunk, pack)
    assert "more than" in str(caught.value.__cause__)


def test_the_first_line_is_bounded() -> None:
    with pytest.raises(InvalidBackup, match="first line"):
        Index.of_bytes(packed({**HEAD, "packs": [[DIGEST, 100]] * 60_000}))


def test_no_index_is_written_that_would_not_be_read() -> None:
    with pytest.raises(LimitExceeded):
        replace(INDEX, packs=[INDEX.packs[0]] * 60_000).to_bytes()
    with pytest.raises(LimitExceeded):
        replace(INDEX, order=[0] * (13 << 20)).to_bytes()


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"config": {"mediaType": "application/vnd.oci.image.config.v1+json"}, "layers": []},
        {"config": {"mediaType": layout.CONFIG}},
        {"config": {"mediaType": layout.CONFIG}, "layers": [{"mediaType": layout.PACK}]},
        {
            "config": {"mediaType": layout.CONFIG},
            "layers": [{"mediaType": layout.INDEX, "digest": DIGEST, "size": 1 << 40}],
        },
    ],
)
def test_manifests_of_something_else(value: object) -> None:
    with pytest.raises(InvalidBackup):
        layout.index_blob(json.dumps(value).encode())


def test_manifests_come_back() -> None:
    content = layout.manifest(Blob(DIGEST, 1), [(Blob(DIGEST, 2), layout.INDEX)], {})
    assert layout.first_manifest(content) == ""
    assert layout.index_blob(content) == Blob(DIGEST, 2)
    assert layout.first_manifest(layout.manifests([Blob(DIGEST, 3)], {})) == DIGEST
    with pytest.raises(InvalidBackup):
        layout.first_manifest(b'{"manifests": []}')


def test_cuts_depend_on_the_content_alone() -> None:
    data = random.Random(1).randbytes(40 << 20)
    whole = cut(data, len(data))
    assert b"".join(whole) == data
    assert cut(data, 1 << 20) == cut(data, 333_333) == whole
    assert all(CHUNK_MIN <= len(chunk) <= CHUNK_MAX for chunk in whole[:-1])
    # An insertion moves few cuts.
    changed = cut(data[:1000] + b"inserted" + data[1000:], 1 << 20)
    assert len(set(changed) - set(whole)) <= 2


def test_packs_that_are_mostly_unused_go_up_again() -> None:
    assert set(worthwhile(INDEX, {DIGEST})) == {b"x" * 32, b"y" * 32}
    assert worthwhile(INDEX, set()) == {}
    little = Index([Blob(DIGEST, 100)], [Chunk(0, 0, 40, 1000, b"x" * 32)], [0], 1000)
    assert worthwhile(little, {DIGEST}) == {}
