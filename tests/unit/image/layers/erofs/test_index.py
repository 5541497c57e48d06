"""The bytes of an index, read back without a kernel."""

from __future__ import annotations

import io
import os
import tarfile
from array import array
from pathlib import Path
from typing import Any

import pytest

from scow.core.archive.read.faults import LIMIT, Fault
from scow.image.layers.erofs import check, ondisk, xattrs
from scow.image.layers.erofs.nodes import Node
from scow.image.layers.erofs.sparse import chunk_bits, chunk_count
from scow.image.layers.erofs.write import write
from tests.support.layertars import Entry, index, reg, tar_of

DIR = tarfile.DIRTYPE
ENTRIES: list[Entry] = [
    ("./", DIR, {"mode": 0o1751, "uid": 70_000, "gid": 5}),
    reg("a/b", b"x" * 1000, pax_headers={"SCHILY.xattr.user.k": "v"}),
    reg("a/c", b""),
]


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    index(tar_of(*ENTRIES), tmp_path / "layer")
    return tmp_path / "layer/layer.erofs"


def test_what_it_says_about_itself(layer: Path) -> None:
    facts = check.read(layer)
    assert (facts.mode & 0o7777, facts.uid, facts.gid) == (0o1751, 70_000, 5)
    assert facts.size == layer.stat().st_size == facts.metadata
    assert facts.tar_blocks == ondisk.blocks((layer.parent / "layer.tar").stat().st_size)
    check.verify(layer)


def test_the_superblock_is_one_that_linux_reads(layer: Path) -> None:
    head = layer.read_bytes()
    fields = ondisk.SUPER.unpack_from(head, ondisk.SUPER_OFFSET)
    assert fields[0] == 0xE0F5E1E2
    assert fields[3] == 9
    assert fields[5] << ondisk.SLOT_BITS == ondisk.INODES_OFFSET
    assert fields[6] == 4  # the root, a, b, c
    assert fields[14:17] == (0xC, 0, 1)
    assert (ondisk.SUPER.size, ondisk.DEVICE.size, ondisk.INODE.size) == (128, 128, 64)


@pytest.mark.parametrize("offset", [5, 20, 1024, 1100, 1290, -1])
def test_every_byte_counts(layer: Path, offset: int) -> None:
    data = bytearray(layer.read_bytes())
    data[offset] ^= 1
    layer.write_bytes(data)
    with pytest.raises(check.Damaged):
        check.verify(layer)


@pytest.mark.parametrize("size", [0, 1000, 1100, 1343])
def test_cut_short(layer: Path, size: int) -> None:
    os.truncate(layer, size)
    with pytest.raises(check.Damaged):
        check.read(layer)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check.read(tmp_path / "none")


def test_the_same_tar_gives_the_same_bytes(layer: Path, tmp_path: Path) -> None:
    index(tar_of(*ENTRIES), tmp_path / "again")
    assert (tmp_path / "again/layer.erofs").read_bytes() == layer.read_bytes()


def test_a_tar_that_is_too_large(tmp_path: Path) -> None:
    from scow.image.layers.erofs.nodes import new_directory

    with (tmp_path / "i").open("w+b") as file, pytest.raises(Fault) as caught:
        write(new_directory(None), 1 << 41, file.fileno(), file.fileno())
    assert caught.value.kind == LIMIT


def _sparse(size: int, *extents: int) -> Node:
    node = Node(0o100644)
    node.size = size
    node.extents = array("Q", extents)
    return node


@pytest.mark.parametrize(
    ("size", "extents", "most"),
    [(0, 0, 0), (4096, 1, 1), (1 << 20, 1, 256), (1 << 44, 1, 1100), (1 << 44, 5000, 21_100)],
)
def test_an_index_grows_with_the_tar_alone(size: int, extents: int, most: int) -> None:
    node = _sparse(size, *[number for at in range(extents) for number in (at * 512, 1)])
    assert chunk_count(node) <= most
    assert chunk_count(node) * (ondisk.BLOCK << chunk_bits(node)) >= size


def kept(mode: int, **wanted: bytes) -> tuple[set[str], set[str]]:
    skipped: set[str] = set()
    names = {name.replace("__", "."): value for name, value in wanted.items()}
    return set(xattrs.kept(names, mode, b"e", skipped) or ()), skipped


def test_xattrs_that_are_kept() -> None:
    wanted: dict[str, Any] = {"user__a": b"", "trusted__b": b"", "security__ima": b"", "odd": b""}
    assert kept(0o100644, **wanted) == ({"user.a"}, {"trusted.b", "security.ima", "odd"})
    assert kept(0o120777, user__a=b"") == (set(), {"user.a"})
    assert kept(0o40755, user__overlay__opaque=b"y") == (set(), set())


def test_more_xattrs_than_an_index_holds() -> None:
    many = [(f"user.{number}", bytes(65_000)) for number in range(5)]
    with pytest.raises(Fault) as caught:
        xattrs.encode(many)
    assert caught.value.kind == LIMIT


def test_more_entries_than_allowed(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        index(tar_of(*ENTRIES), tmp_path / "layer", max_entries=2)
    assert caught.value.kind == LIMIT


def test_memory_is_not_the_archives_to_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scow.image.layers.erofs import collect

    monkeypatch.setattr(collect, "_TEXT_MAX", 1000)
    with pytest.raises(Fault) as caught:
        index(tar_of(*[reg("n" * 200 + str(number)) for number in range(6)]), tmp_path / "layer")
    assert caught.value.kind == LIMIT


def test_directories_are_sorted_blocks(tmp_path: Path) -> None:
    """Kernels find names by halving: blocks by their first names, then entries by theirs."""
    names = [f"{number:03}-{'n' * (number % 60)}" for number in range(100)] + ["!", "~", "-"]
    index(tar_of(*[reg(name) for name in names]), tmp_path / "layer")
    data = (tmp_path / "layer/layer.erofs").read_bytes()
    root = ondisk.INODE.unpack_from(data, ondisk.INODES_OFFSET)
    size, start = root[4], root[5] << ondisk.BLOCK_BITS
    found = []
    for at in range(start, start + size, ondisk.BLOCK):
        block = data[at : min(at + ondisk.BLOCK, start + size)]
        count = ondisk.DIRENT.unpack_from(block)[1] // ondisk.DIRENT.size
        offsets = [ondisk.DIRENT.unpack_from(block, n * 12)[1] for n in range(count)]
        for begin, end in zip(offsets, [*offsets[1:], len(block)], strict=True):
            found.append(io.BytesIO(block[begin:end]).read().rstrip(b"\0"))
    assert found == sorted([*(name.encode() for name in names), b".", b".."])
