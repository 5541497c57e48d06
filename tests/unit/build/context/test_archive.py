"""Tars as trees."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from scow.build.context import archive
from scow.build.context.files import FileTree
from scow.contract.errors import InvalidContext, LimitExceeded


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **values: Any
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for key, value in values.items():
        setattr(info, key, value)
    return info


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as out:
        for each in members:
            info, data = each if isinstance(each, tuple) else (each, b"")
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def file(name: str, data: bytes = b"x", **values: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, **values), data


async def read(tree: FileTree, path: bytes) -> bytes:
    return b"".join([data async for _, data in tree.contents.read([tree.entries[path]])])


def unpacked(data: bytes, folder: Path) -> FileTree:
    return archive.unpack(io.BytesIO(data), "the archive", str(folder))[0]


SIMPLE = tar(
    member("./d", tarfile.DIRTYPE, mode=0o700, uid=5),
    file(
        "d/f", b"content" * 1000, mode=0o4755, mtime=5.5, pax_headers={"SCHILY.xattr.user.a": "b"}
    ),
    file("/deep/er/g", b""),
    member("l", tarfile.SYMTYPE, "../../etc/passwd"),
    member("h", tarfile.LNKTYPE, "d/f"),
    member("dev", tarfile.CHRTYPE),
)


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
async def test_every_compression(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    tree = unpacked(pack(SIMPLE), tmp_path)
    assert set(tree.entries) == {b"", b"d", b"d/f", b"deep", b"deep/er", b"deep/er/g", b"l", b"h"}
    found = tree.entries[b"d/f"]
    assert (found.mode, found.size, found.mtime_ns) == (stat.S_IFREG | 0o4755, 7000, 5_500_000_000)
    assert found.xattrs == {"user.a": b"b"}
    assert await read(tree, b"d/f") == b"content" * 1000
    assert (tree.entries[b"h"].hard_link, tree.entries[b"h"].digest) == (b"d/f", found.digest)
    assert tree.follow(b"l") is None
    assert list(tmp_path.iterdir()) == []


async def test_several_streams_in_one_file(tmp_path: Path) -> None:
    half = len(SIMPLE) // 2
    for pack in (gzip.compress, bz2.compress, lzma.compress, zstandard.compress):
        tree = unpacked(pack(SIMPLE[:half]) + pack(SIMPLE[half:]), tmp_path)
        assert await read(tree, b"d/f") == b"content" * 1000


async def test_the_last_of_a_name_counts(tmp_path: Path) -> None:
    tree = unpacked(
        tar(file("a/b", b"1"), file("a/b", b"22"), file("c/d"), file("c", b"3")), tmp_path
    )
    assert await read(tree, b"a/b") == b"22"
    assert set(tree.entries) == {b"", b"a", b"a/b", b"c"}


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    tree = unpacked(tar(file("a\udcff")), tmp_path)
    assert b"a\xff" in tree.entries


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no tar at all" * 100, "a header has a field that is not a number"),
        (SIMPLE[:2000], "cut short"),
        (gzip.compress(SIMPLE)[:-20], "the archive:"),
        (bz2.compress(SIMPLE)[:-20], "the archive:"),
        (lzma.compress(SIMPLE)[:-20], "the archive:"),
        (zstandard.compress(SIMPLE)[:-20], "the archive:"),
        (gzip.compress(SIMPLE)[:30] + b"damaged" * 9, "the archive:"),
        (tar(file("../x")), "leads out of"),
        (tar(file("a/../../x")), "leads out of"),
        (
            tar(member("h", tarfile.LNKTYPE, "/etc/passwd")),
            "a hard link leads to what is not in the archive (h)",
        ),
        (tar(member("h", tarfile.LNKTYPE, "../x")), "leads out of"),
        (tar(member("l", tarfile.SYMTYPE, "/etc"), file("l/passwd")), "not a directory (l/passwd)"),
        (tar(file("f"), file("f/g")), "not a directory (f/g)"),
        (tar(file("x/" * 3000)), "too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "tar",  # some have the time
)
def test_archives_of_strangers(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidContext) as caught:
        unpacked(data, tmp_path)
    assert why in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_grows_out_of_proportion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archive, "_RATIO_FREE", 1 << 20)
    assert unpacked(gzip.compress(tar(file("f", bytes(1 << 19)))), tmp_path)
    with pytest.raises(LimitExceeded, match="times its size"):
        unpacked(zstandard.compress(tar(file("zeros", bytes(64 << 20)))), tmp_path)


def test_sparse_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as out:
        out.truncate(1 << 20)
        out.seek(70_000)
        out.write(b"data")
    command = ["tar", "--sparse", "--format=pax", "-cf", "-", "-C", str(tmp_path), "sparse"]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    assert len(packed) < 1 << 18
    tree = unpacked(packed, tmp_path)
    found = tree.entries[b"sparse"]
    assert (found.size, found.digest) == (1 << 20, hashlib.sha256(path.read_bytes()).digest())
    with monkeypatch.context() as patch:  # what is left out counts as what is packed well
        patch.setattr(archive, "_RATIO_FREE", 1 << 19)
        patch.setattr(archive, "_RATIO_MAX", 2)
        with pytest.raises(LimitExceeded, match="times its size"):
            unpacked(packed, tmp_path)
    monkeypatch.setattr(archive, "SIZE_MAX", 1 << 19)
    with pytest.raises(LimitExceeded, match="larger than"):
        unpacked(packed, tmp_path)


def test_many_entries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archive, "ENTRIES_MAX", 3)
    with pytest.raises(LimitExceeded, match="3 entries"):
        unpacked(tar(*(file(str(number)) for number in range(4))), tmp_path)


def test_directories_that_the_archive_does_not_have_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archive, "ENTRIES_MAX", 100)
    assert len(unpacked(tar(file("x/" * 99 + "f")), tmp_path).entries) == 101
    with pytest.raises(LimitExceeded, match="100 entries"):
        unpacked(tar(*(file(f"{top}/" + "x/" * 50 + "f") for top in range(2))), tmp_path)
    monkeypatch.setattr(archive, "_NAMES_MAX", 5000)
    with pytest.raises(LimitExceeded, match="5000 bytes of names"):
        unpacked(tar(file("xx/" * 90 + "f")), tmp_path)


def test_directories_that_become_files(tmp_path: Path) -> None:
    tree = unpacked(
        tar(file("a/b/c/d"), file("a/bb"), file("a/b", b"1"), file("e/f/g"), file("e", b"2")),
        tmp_path,
    )
    assert set(tree.entries) == {b"", b"a", b"a/b", b"a/bb", b"e"}
    again = tar(file("a/b/c"), file("a", b"1"), member("a", tarfile.DIRTYPE), file("a/d"))
    assert set(unpacked(again, tmp_path).entries) == {b"", b"a", b"a/d"}


def test_a_directory_that_becomes_a_file_again_and_again(tmp_path: Path) -> None:
    """What is thrown away is looked at, and not all that the archive has: the steps of that are counted."""
    others = [file(f"o/{number}", b"") for number in range(4000)]
    changes = [file("d/f"), file("d"), (member("d", tarfile.DIRTYPE), b"")] * 500
    lines = 0

    def count(frame: Any, event: str, _: object) -> Any:
        nonlocal lines
        lines += 1
        return count if frame.f_code.co_filename == archive.__file__ else None

    data = tar(*others, *changes)
    sys.settrace(count)
    try:
        tree = unpacked(data, tmp_path)
    finally:
        sys.settrace(None)
    assert tree.entries[b"d"].is_directory
    assert lines < 1_000_000


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (SIMPLE[:512], True),
        (gzip.compress(b"x"), True),
        (zstandard.compress(b"x"), True),
        (bz2.compress(b"x"), True),
        (lzma.compress(b"x"), True),
        (b"#!/bin/sh\n".ljust(512, b"\0"), False),
        (bytes(512), False),
        (b"", False),
    ],
    ids=["plain", "gzip", "zstd", "bzip2", "xz", "script", "zeros", "empty"],  # some have the time
)
def test_what_is_an_archive(head: bytes, expected: bool) -> None:
    assert archive.is_archive(head) is expected
