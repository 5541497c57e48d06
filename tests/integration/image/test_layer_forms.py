"""A layer's two forms, unpacked and indexed, are the same tree, or are refused for the same reason."""

from __future__ import annotations

import os
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scow.core.archive.read.faults import Fault
from tests.support.layertars import (
    Entry,
    describe,
    index,
    mounted,
    needs_erofs,
    reg,
    tar_of,
    unpack,
    without_implied_times,
)

pytestmark = needs_erofs
REG, DIR, SYM, LNK, FIFO, CHR, BLK = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
)


def xattrs(**values: str) -> dict[str, Any]:
    return {"pax_headers": {f"SCHILY.xattr.{k.replace('__', '.')}": v for k, v in values.items()}}


def compare(data: bytes, base: Path) -> str:
    """Make both forms; return the kind of fault that both have, or nothing."""
    counts, faults = [], []
    for make, name in ((unpack, "unpacked"), (index, "indexed")):
        try:
            counts.append(make(data, base / name))
        except Fault as fault:
            faults.append(fault.kind)
    assert len(faults) in (0, 2), (counts, faults)
    if faults:
        assert faults[0] == faults[1]
        return faults[0]
    assert counts[0] == counts[1]
    unpacked = os.open(base / "unpacked", os.O_RDONLY)
    try:
        with mounted(base / "indexed") as indexed:
            one, other = without_implied_times(describe(unpacked), describe(indexed))
    finally:
        os.close(unpacked)
    assert one == other
    return ""


CAPABILITY = struct.pack("<5I", 0x02000001, 0x400, 0, 0, 0).decode("latin-1")
GOOD: dict[str, list[Entry]] = {
    "empty": [],
    "root": [("./", DIR, {"mode": 0o1711, "uid": 5, "gid": 6, "mtime": 7}), reg("./a")],
    "plain": [
        ("etc", DIR, {"mode": 0o750, "mtime": 5, "uid": 1000}),
        reg("etc/file", b"x" * 3000, mode=0o4755, mtime=1_500_000_000.25, gid=42),
        ("etc/link", SYM, {"linkname": "../nowhere", "mtime": 3}),
        ("etc/same", LNK, {"linkname": "etc/file"}),
        ("pipe", FIFO, {"mode": 0o600}),
        ("null", CHR, {"devmajor": 1, "devminor": 3, "mode": 0o666}),
        ("disk", BLK, {"devmajor": 259, "devminor": 70_000, "mode": 0o1660}),
        reg("deep/er/implied"),
        reg("empty", b"", mode=0),
        reg("block", b"b" * 512),
        reg("page", b"p" * 4096),
        reg("odd", b"o" * 4097),
    ],
    "times": [
        reg("before", mtime=-1.5),
        reg("after", mtime=5_000_000_000.123456789),
        reg("fine", pax_headers={"mtime": "1.000000001"}),
    ],
    "large ids": [reg("a", uid=4_000_000_000, gid=70_000), ("d", DIR, {"uid": 1 << 31})],
    "replaced": [
        reg("a", b"one"),
        reg("a", b"two"),
        ("d", DIR, {}),
        reg("d/in"),
        reg("d", b"a file now"),
        ("d", DIR, {"mode": 0o700}),
        reg("d/new"),
        ("l", SYM, {"linkname": "d"}),
        ("l", DIR, {}),
        ("p", FIFO, {}),
        ("p", SYM, {"linkname": "x"}),
    ],
    "directory under what a file replaced": [
        ("a", DIR, {}),
        ("a/b", DIR, {"mode": 0o700, "mtime": 9}),
        reg("a"),
    ],
    "a directory again and implied": [
        ("a", DIR, {}),
        ("a/b", DIR, {"mode": 0o700, "uid": 9, "mtime": 9}),
        reg("a"),
        ("a", DIR, {}),
        reg("a/b/c"),
    ],
    "a directory by two names": [
        ("real", DIR, {}),
        ("alias", SYM, {"linkname": "real"}),
        ("real/d", DIR, {"mode": 0o700, "mtime": 3}),
        ("alias/d", DIR, {"mode": 0o711, "mtime": 4}),
    ],
    "through symlinks": [
        ("usr/bin", DIR, {}),
        ("bin", SYM, {"linkname": "usr/bin"}),
        reg("bin/sh", b"shell"),
        ("usr/lib64", SYM, {"linkname": "../usr/./lib/"}),
        ("usr/lib", DIR, {}),
        reg("usr/lib64/so"),
        ("hard", LNK, {"linkname": "bin/sh"}),
    ],
    "whiteouts": [
        reg("d/.wh.gone"),
        reg("d/.wh..wh..opq"),
        reg("d/.wh..wh.plnk/1.2"),
        reg("d/.wh..wh.aufs"),
        reg(".wh.x", b""),
        ("x", DIR, {"mtime": 1}),
        ("y", DIR, {"mtime": 1}),
        reg(".wh.y", b""),
        reg("z"),
        reg(".wh.z", b""),
        reg(".wh.w", b""),
        reg("w", b"again"),
        ("marker", CHR, {"devmajor": 0, "devminor": 0}),
        ("marker2", LNK, {"linkname": "marker"}),
    ],
    "hard links": [
        reg("a", b"a"),
        ("b", LNK, {"linkname": "a"}),
        ("b", LNK, {"linkname": "b"}),
        ("c", SYM, {"linkname": "a"}),
        ("d", LNK, {"linkname": "c"}),
        ("e", LNK, {"linkname": "./a"}),
        reg("a", b"another"),
        ("l", SYM, {"linkname": "dir"}),
        reg("dir/f"),
        ("l", LNK, {"linkname": "l/f"}),
        ("dir", DIR, {}),
        ("dir", LNK, {"linkname": "dir"}),
    ],
    "xattrs": [
        reg("f", **xattrs(user__a="1", user__long="v" * 900, security__capability=CAPABILITY)),
        reg("g", **xattrs(user__a="1", user__long="v" * 900, security__capability=CAPABILITY)),
        ("d", DIR, xattrs(user__one="1")),
        ("d", DIR, xattrs(user__two="2", user__overlay__opaque="y", trusted__overlay__opaque="y")),
        ("s", SYM, {"linkname": "f", **xattrs(user__no="1", security__capability=CAPABILITY)}),
        ("p", FIFO, xattrs(user__no="1", security__capability=CAPABILITY)),
        reg("o", **xattrs(user__overlay__metacopy="", other__x="1", system__other="1")),
        reg(".wh..wh..opq", b""),
        ("./", DIR, xattrs(user__root="r")),
    ],
    "names": [
        reg("\udcff\udcfe not unicode"),
        reg("new\nline"),
        reg("n" * 255),
        reg("+before the dots"),
        reg("~after"),
        reg("a" * 200 + "/" + "b" * 255 + "/" + "c" * 255),
        reg("back\\slash"),
        *[reg(f"many/{number:x}") for number in range(700)],
    ],
    "targets": [
        (f"l{length}", SYM, {"linkname": "t" * length})
        for length in (1, 200, 400, 447, 448, 449, 511, 512, 513, 1000, 4095)
    ]
    + [("x", SYM, {"linkname": "t" * 300, **xattrs(security__capability=CAPABILITY)})],
}
BAD: dict[str, tuple[str, list[Entry]]] = {
    "absolute": ("hostile", [reg("/etc/passwd")]),
    "dots": ("hostile", [reg("a/../../b")]),
    "through an absolute symlink": (
        "hostile",
        [("l", SYM, {"linkname": "/etc"}), reg("l/passwd")],
    ),
    "out through a symlink": ("hostile", [("l", SYM, {"linkname": "../.."}), reg("l/x")]),
    "through a file": ("hostile", [reg("f"), reg("f/x")]),
    "through a fifo": ("hostile", [("f", FIFO, {}), reg("f/x")]),
    "through a dangling symlink": ("hostile", [("l", SYM, {"linkname": "no"}), reg("l/x")]),
    "loop": (
        "hostile",
        [("l", SYM, {"linkname": "m"}), ("m", SYM, {"linkname": "l"}), reg("l/x")],
    ),
    "a file as root": ("hostile", [reg("./")]),
    "a long name": ("hostile", [reg("n" * 256)]),
    "a long directory": ("hostile", [reg("n" * 256 + "/a")]),
    "a long path": ("hostile", [reg("/".join(["n" * 200] * 21) + "/a")]),
    "a long target": ("hostile", [("l", SYM, {"linkname": "t" * 4096})]),
    "a link to nothing": ("corrupt", [("l", LNK, {"linkname": "no"})]),
    "a link to nothing in nothing": ("corrupt", [("l", LNK, {"linkname": "no/no"})]),
    "a link to a directory": ("hostile", [("d", DIR, {}), ("l", LNK, {"linkname": "d"})]),
    "a link to what it replaces": (
        "corrupt",
        [reg("d/f"), ("d", LNK, {"linkname": "d/f"})],
    ),
    "a link to a directory within what it replaces": (
        "hostile",
        [("a/b/", DIR, {}), ("a", LNK, {"linkname": "a/b"})],
    ),
    "a link outside": ("hostile", [("l", LNK, {"linkname": "../etc/passwd"})]),
    "a link to the root": ("hostile", [("l", LNK, {"linkname": "./"})]),
    "a whiteout of nothing": ("hostile", [reg(".wh.", b"")]),
    "a whiteout of dots": ("hostile", [reg(".wh...", b"")]),
    "a symlink to nothing": ("corrupt", [("l", SYM, {"linkname": ""})]),
    "a malformed capability": ("hostile", [reg("f", **xattrs(security__capability="no"))]),
    "a long xattr name": (
        "hostile",
        [reg("f", pax_headers={"SCHILY.xattr.user." + "n" * 255: "v"})],
    ),
    "a huge mtime": ("corrupt", [reg("f", pax_headers={"mtime": "1e30"})]),
    "a huge exponent": ("corrupt", [reg("f", pax_headers={"mtime": "1e999999999"})]),
}


@pytest.mark.parametrize("entries", GOOD.values(), ids=GOOD.keys())
def test_the_same_tree(tmp_path: Path, entries: list[Entry]) -> None:
    assert compare(tar_of(*entries), tmp_path) == ""


@pytest.mark.parametrize(("kind", "entries"), BAD.values(), ids=BAD.keys())
def test_refused_alike(tmp_path: Path, kind: str, entries: list[Entry]) -> None:
    assert compare(tar_of(*entries), tmp_path) == kind


_PATHS = st.lists(st.sampled_from(["a", "b", "c", "."]), max_size=2).flatmap(
    lambda parts: st.sampled_from(["a", "b", "c", ".wh.a", ".wh.b", ".wh..wh..opq"]).map(
        lambda last: "/".join([*parts, last])
    )
)
_TARGETS = st.sampled_from(["a", "b", "c", "a/b", "../a", "./c/", "b/../c", "/a", "..", "a/a"])
_ENTRIES = st.tuples(_PATHS, st.sampled_from([REG, DIR, DIR, SYM, LNK, FIFO, CHR]), _TARGETS)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_ENTRIES, max_size=9))
def test_any_entries(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[tuple[str, bytes, str]]
) -> None:
    entries: list[Entry] = []
    for number, (name, kind, target) in enumerate(chosen):
        attributes: dict[str, Any] = {"mtime": number + 1, "mode": 0o700 + number}
        if kind in (SYM, LNK):
            attributes["linkname"] = target
        if kind == REG:
            attributes["data"] = b"%d" % number
        entries.append((name, kind, attributes))
    compare(tar_of(*entries), tmp_path_factory.mktemp("layer"))


@pytest.mark.parametrize(
    "flags",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=["gnu", "0.0", "0.1", "1.0"],
)
def test_sparse_files(tmp_path: Path, flags: list[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    layouts = {
        "aligned": [(1 << 20, 8192), (3 << 20, 4096)],
        "odd": [(4096, 4096), (70_000, 10), (1_000_001, 5000)],
        "many": [(number * 20_000, 100) for number in range(300)],
        "large": [(5 << 30, 4096), ((6 << 30) + 12288, 10_000)],
    }
    for name, extents in layouts.items():
        with (source / name).open("wb") as file:
            for offset, length in extents:
                file.seek(offset)
                file.write(os.urandom(length))
            file.truncate(offset + length + 100_000)
    with (source / "hole").open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["tar", "-C", source, "-S", *flags, "-cf", tmp_path / "tar", "."], check=True)
    (source / "large").unlink()  # compared below: reading 6 GiB takes long
    data = (tmp_path / "tar").read_bytes()
    unpack(data, tmp_path / "unpacked")
    index(data, tmp_path / "indexed")
    with mounted(tmp_path / "indexed") as root:
        for offset, length in layouts["large"]:
            for start in (offset - 8192, offset):
                size = length + 20_000
                one = read(tmp_path / "unpacked/large", start, size)
                assert one == read(f"/proc/self/fd/{root}/large", start, size)
                assert len(one) == size
    (tmp_path / "small").mkdir()
    subprocess.run(["tar", "-C", source, "-S", *flags, "-cf", tmp_path / "tar", "."], check=True)
    assert compare((tmp_path / "tar").read_bytes(), tmp_path / "small") == ""


def read(path: Path | str, offset: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def test_the_same_bytes_again(tmp_path: Path) -> None:
    data = tar_of(*GOOD["plain"], *GOOD["names"], *GOOD["xattrs"], *GOOD["targets"])
    index(data, tmp_path / "one")
    index(data, tmp_path / "two")
    assert (tmp_path / "one/layer.erofs").read_bytes() == (
        tmp_path / "two/layer.erofs"
    ).read_bytes()


def test_a_real_tree(tmp_path: Path) -> None:
    """What GNU tar writes of a real file system."""
    tar = tmp_path / "tar"
    subprocess.run(
        ["tar", "-C", "/", "--xattrs", "-cf", tar, "etc", "usr/share/zoneinfo", "usr/sbin"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    assert compare(tar.read_bytes(), tmp_path) == ""
