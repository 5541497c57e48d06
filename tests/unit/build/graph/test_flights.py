"""Steps that several builds share."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.build.context.archive import FileContents
from scow.build.context.directory import Packs
from scow.build.context.files import Contents, Entry
from scow.build.graph.flights import Flights, Listeners
from scow.build.history.events import EventLog
from scow.build.history.progress import LOG_MAX, Step
from scow.contract.errors import Cancelled

SIZE = 1 << 20


def step(folder: Path, name: str) -> Step:
    return Step(EventLog(folder / name), pb.Vertex(id=name))


def file_contents(folder: Path, data: bytes) -> FileContents:
    path = folder / f"file-{data[:1].decode()}"
    path.write_bytes(data)
    return FileContents(os.open(path, os.O_RDONLY))


def packs(folder: Path, data: bytes) -> Packs:
    folder = folder / data[:1].decode()
    folder.mkdir()
    (folder / "0.pack").write_bytes(data)
    found = Packs()
    found.open(folder, {0})
    return found


@pytest.mark.parametrize("make", [file_contents, packs])
async def test_a_build_that_ends_amid_a_shared_copy(make: object, tmp_path: Path) -> None:
    """The other build makes the layer of its own files, whatever is at the closed descriptor now."""
    assert callable(make)
    flights: Flights[bytes] = Flights()
    read, gone = asyncio.Event(), asyncio.Event()

    async def copy(contents: Contents) -> bytes:
        entry = Entry(b"f", stat.S_IFREG, size=SIZE)
        found = b""
        async for _, data in contents.read([entry, entry]):
            found += data
            read.set()
            await gone.wait()
        return found

    of_a, of_b = make(tmp_path, b"a" * SIZE), make(tmp_path, b"b" * SIZE)
    a = asyncio.create_task(flights.join("key", step(tmp_path, "1"), lambda _: copy(of_a)))
    b = asyncio.create_task(flights.join("key", step(tmp_path, "2"), lambda _: copy(of_b)))
    await read.wait()
    a.cancel()
    await asyncio.wait([a])
    of_a.close()
    other = file_contents(tmp_path, b"x" * SIZE)  # gets the number of the closed descriptor
    gone.set()
    assert await b == b"b" * 2 * SIZE
    for contents in (other, of_b):
        contents.close()


@pytest.mark.parametrize("make", [file_contents, packs])
async def test_closed_contents(make: object, tmp_path: Path) -> None:
    assert callable(make)
    contents = make(tmp_path, b"a" * SIZE)
    contents.close()
    with pytest.raises(Cancelled):
        async for _ in contents.read([Entry(b"f", stat.S_IFREG, size=SIZE)]):
            pass


async def test_work_that_is_given_up_does_not_end_its_successor(tmp_path: Path) -> None:
    """While the work that nobody needs any more cleans up, another build has started it anew."""
    flights: Flights[int] = Flights()
    cleaning, clean, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    starts = 0

    async def slow(_: Listeners) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await clean.wait()
        return 0

    async def work(_: Listeners) -> int:
        nonlocal starts
        starts += 1
        await go.wait()
        return starts

    first = asyncio.create_task(flights.join("key", step(tmp_path, "1"), slow))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await cleaning.wait()
    second = asyncio.create_task(flights.join("key", step(tmp_path, "2"), work))
    await asyncio.sleep(0)
    clean.set()
    await asyncio.wait([first])
    third = asyncio.create_task(flights.join("key", step(tmp_path, "3"), work))
    await asyncio.sleep(0)
    go.set()
    assert [await second, await third] == [1, 1]


def test_output_that_no_step_keeps_is_not_kept(tmp_path: Path) -> None:
    listeners = Listeners()
    with listeners.telling(step(tmp_path, "1")):
        for _ in range(100):
            listeners.log(b"x" * (1 << 20))
    assert sum(len(data) for data, _ in listeners._told) <= 3 << 20
    late = step(tmp_path, "2")
    with listeners.telling(late):
        pass
    assert late._logged > LOG_MAX
