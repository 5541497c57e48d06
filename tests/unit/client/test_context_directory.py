"""Directories as build contexts: whatever is in them."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.client._context import ContextDirectory
from scow.contract.errors import InvalidContext


def listed(directory: ContextDirectory) -> tuple[list[pb.ContextEntry], list[str]]:
    entries: list[pb.ContextEntry] = []
    skipped: list[str] = []
    for listing in directory.listings(pb.BuildResponse.WantListing()):
        assert listing.ByteSize() < 4 << 20
        entries += listing.entries
        skipped += listing.skipped
    return entries, skipped


def pieces(directory: ContextDirectory, *indexes: int) -> Iterator[pb.BuildRequest.Content.Piece]:
    for content in directory.contents(pb.BuildResponse.WantContent(indexes=indexes)):
        yield from content.pieces


def test_links_sockets_and_names(tmp_path: Path) -> None:
    (tmp_path / "outside").symlink_to("/etc/passwd")
    (tmp_path / "up").symlink_to("../..")
    (tmp_path / "loop").symlink_to("loop")
    with open(os.fsencode(tmp_path) + b"/\xff\xfe\n name", "wb") as file:
        file.write(b"odd")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        directory = ContextDirectory(tmp_path)
        entries, skipped = listed(directory)
    assert skipped == ["socket is left out: it is a socket"]
    found = {entry.path: entry for entry in entries}
    assert set(found) == {b"\xff\xfe\n name", b"fifo", b"loop", b"outside", b"up"}
    assert [found[name].link for name in (b"outside", b"up", b"loop")] == [
        b"/etc/passwd",
        b"../..",
        b"loop",
    ]
    assert stat.S_ISFIFO(found[b"fifo"].mode)
    numbers = [entry.path for entry in entries]
    (piece,) = pieces(directory, numbers.index(b"\xff\xfe\n name"))
    assert piece.chunk == b"odd"


@pytest.mark.parametrize("name", [b"outside", b"fifo"])
def test_what_takes_the_place_of_a_file_is_not_read(tmp_path: Path, name: bytes) -> None:
    """Between listing and reading a file becomes a link, or what blocks whoever opens it."""
    path = tmp_path / os.fsdecode(name)
    path.write_text("a file")
    directory = ContextDirectory(tmp_path)
    listed(directory)
    path.unlink()
    if name == b"fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd")
    with pytest.raises((InvalidContext, OSError)):
        list(pieces(directory, 0))


def test_a_large_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5 << 20))
    directory = ContextDirectory(tmp_path)
    listed(directory)
    with pytest.raises(InvalidContext, match="has changed while it was sent"):
        for piece in pieces(directory, 0):
            assert not piece.last
            with path.open("ab") as file:
                file.write(b"more")


def test_a_small_file_that_changed_since_it_was_listed_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    directory = ContextDirectory(tmp_path)
    (before,), _ = listed(directory)
    path.write_text("new and longer")
    (piece,) = pieces(directory, 0)
    assert (piece.chunk, piece.last) == (b"new and longer", True)
    assert piece.entry.size == 14
    assert piece.entry.fingerprint != before.fingerprint


def test_very_many_files() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for number in range(100):
            os.mkdir(f"{folder}/{number}")
            inner = os.open(f"{folder}/{number}", os.O_RDONLY)
            for name in range(1000):
                os.mknod(f"{name}", dir_fd=inner)
            os.close(inner)
        entries, _ = listed(ContextDirectory(folder))
    assert len(entries) == 100 * 1001
