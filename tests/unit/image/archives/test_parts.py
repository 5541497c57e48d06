"""Parts of archives: names and links, tars that are written, pipes, what documents an archive of ours has."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import sys
import tarfile
import termios
from collections.abc import AsyncIterator

import pytest

from scow.core.archive.read.faults import Fault
from scow.image.archives import tar_writer
from scow.image.archives.names import clean, target
from scow.image.archives.pipes import PipeWriter
from scow.image.content.buffers import streaming


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (b"manifest.json", "manifest.json"),
        (b"./blobs//sha256/x", "blobs/sha256/x"),
        (b"a/./b/", "a/b"),
        (b"./", ""),
        (b"\xff", "\\xff"),
    ],
)
def test_names(name: bytes, meant: str) -> None:
    assert clean(name) == meant


@pytest.mark.parametrize("name", [b"/a", b"..", b"a/../b", b"a/../../b", b"x" * 5000])
def test_names_that_lead_out(name: bytes) -> None:
    with pytest.raises(Fault):
        clean(name)


def test_links() -> None:
    assert target(b"b/layer.tar", b"../a/layer.tar", is_symlink=True) == "a/layer.tar"
    assert target(b"b/layer.tar", b"other", is_symlink=True) == "b/other"
    assert target(b"b/layer.tar", b"a/layer.tar", is_symlink=False) == "a/layer.tar"
    for name, link, is_symlink in (
        (b"b/l", b"../../x", True),
        (b"l", b"../x", True),
        (b"b/l", b"/x", True),
        (b"b/l", b"../x", False),
    ):
        with pytest.raises(Fault):
            target(name, link, is_symlink=is_symlink)


def test_tars_are_read_by_others() -> None:
    large = 9 << 30  # more than the eleven octal digits of ustar hold
    entry = tarfile.TarInfo.frombuf(tar_writer.file_header("large", large), "utf-8", "strict")
    assert (entry.name, entry.size, entry.mtime) == ("large", large, 0)
    data = tar_writer.folder_header("f") + tar_writer.file_header("f/x", 3) + b"abc"
    data += tar_writer.padding(3)
    data += tar_writer.end(len(data))
    assert len(data) % 10_240 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        file = tar.extractfile("f/x")
        assert file is not None
        assert file.read() == b"abc"


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(8):
        yield bytes(1 << 20)


def _is_full(pipe: int) -> bool:
    size = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(size, sys.byteorder) == fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


async def test_a_pipe_waits_for_its_reader() -> None:
    pipe = PipeWriter()
    reader = os.dup(pipe.reader)
    pipe.passed()
    feeding = asyncio.create_task(pipe.feed(_chunks()))
    async with asyncio.timeout(10):
        while not _is_full(reader):  # noqa: ASYNC110 - a pipe
            await asyncio.sleep(0)
    assert not feeding.done()

    def read_all() -> int:
        size = 0
        while data := os.read(reader, 1 << 20):
            size += len(data)
        return size

    assert await asyncio.to_thread(read_all) == 8 << 20
    await feeding
    os.close(reader)


async def test_a_pipe_whose_reader_goes_away() -> None:
    pipe = PipeWriter()
    pipe.passed()
    await pipe.feed(_chunks())
    pipe.close()  # a second time, without effect


def test_memory_is_kept_while_something_streams() -> None:
    with streaming(), streaming():
        assert bytes(1 << 20)
