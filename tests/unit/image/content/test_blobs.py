"""The content-addressed store."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from scow.contract.errors import DigestMismatch, LayerCorrupt
from scow.image.content.blobs import Blobs, open_blob
from scow.image.content.digests import digest_of
from scow.image.gc.leases import Leases

DATA = b"some bytes" * 1000


async def test_what_comes_in_is_there_under_its_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    ingest = blobs.ingest(digest_of(DATA))
    ingest.write(DATA)
    assert await blobs.commit(ingest) == digest_of(DATA)
    assert blobs.read(digest_of(DATA)) == DATA
    assert blobs.digests() == {digest_of(DATA)}
    assert list((tmp_path / "ingest").iterdir()) == []


@pytest.mark.parametrize(("digest", "size"), [(digest_of(b"other"), None), (digest_of(DATA), 5)])
def test_wrong_bytes_are_told(tmp_path: Path, digest: str, size: int | None) -> None:
    ingest = Blobs(tmp_path).ingest(digest)
    ingest.write(DATA)
    with pytest.raises(DigestMismatch):
        ingest.check(digest, size)
    ingest.discard()


async def test_an_ingest_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Blobs(tmp_path).ingest(digest_of(DATA))
    first.write(DATA[:3000])
    first.close()
    blobs = Blobs(tmp_path)
    second = blobs.ingest(digest_of(DATA))
    assert second.size == 3000
    second.write(DATA[3000:])
    second.check(digest_of(DATA), len(DATA))
    await blobs.commit(second)
    assert blobs.read(digest_of(DATA)) == DATA


async def test_a_reader_follows(tmp_path: Path) -> None:
    ingest = Blobs(tmp_path).ingest("import-1")
    reader = asyncio.create_task(ingest.wait(0))
    await asyncio.sleep(0)
    assert not reader.done()
    ingest.write(b"12345")
    assert await reader == (5, False)
    ingest.finish()
    assert await ingest.wait(5) == (5, True)
    ingest.close()


async def test_a_reader_fails_with_the_writer(tmp_path: Path) -> None:
    ingest = Blobs(tmp_path).ingest("import-1")
    reader = asyncio.create_task(ingest.wait(0))
    await asyncio.sleep(0)
    ingest.fail(ValueError("cut"))
    with pytest.raises(ValueError, match="cut"):
        await reader
    ingest.discard()


def test_old_ingests_go(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    folder = tmp_path / "ingest"
    for name in ("a" * 64, "b" * 64, "import-1", "import-2"):
        (folder / name).touch()
    past = time.time() - 1000
    os.utime(folder / ("a" * 64), (past, past))
    with blobs.held("import-2"):
        assert sorted(blobs.prune_ingests(500)) == ["a" * 64, "import-1"]
    assert sorted(path.name for path in folder.iterdir()) == ["b" * 64, "import-2"]


def test_a_blob_that_is_gone(tmp_path: Path) -> None:
    blob = digest_of(DATA)
    with pytest.raises(LayerCorrupt) as caught, open_blob(Blobs(tmp_path).path(blob), blob):
        pass
    assert caught.value.which == blob


def test_leases_are_counted() -> None:
    leases = Leases()
    with leases.hold(["a", "b"]):
        with leases.hold(["a", "a"]):
            assert "a" in leases
        assert "a" in leases
        assert "c" not in leases
    assert "a" not in leases
