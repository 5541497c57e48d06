"""Layers made by GNU tar and by Python's tarfile, written into a directory."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scow.core.archive.read import faults
from scow.core.archive.read.apply import Applied
from scow.core.archive.read.faults import Fault
from scow.core.archive.read.streams import TarStream
from scow.core.archive.read.tree import Tree
from scow.image.layers.unpack.apply import OPAQUE_XATTR, Applier

Entry = tuple[str, bytes, dict[str, Any]]
REG, DIR, SYM, LNK, FIFO = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
)


def tar_of(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar; an entry is a name, a type, and attributes of TarInfo, `data` among them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, kind, attributes in entries:
            info = tarfile.TarInfo(name)
            info.type, info.uid, info.gid = kind, os.geteuid(), os.getegid()
            data = attributes.pop("data", b"")
            assert isinstance(data, bytes)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def unpack(data: bytes, target: Path, *, pieces: int = 1000, entries: int = 1000) -> Applied:
    """Write a layer, its bytes arriving in small pieces."""
    parts = (data[at : at + pieces] for at in range(0, len(data), pieces))
    stream = TarStream(iter(parts), 1 << 30)
    target.mkdir(exist_ok=True)
    tree = Tree(str(target))
    try:
        applied = Applier(tree, stream, entries).run()
        stream.finish()
    finally:
        tree.close()
    return applied


def fault(data: bytes, target: Path, **limits: int) -> Fault:
    with pytest.raises(Fault) as caught:
        unpack(data, target, **limits)
    return caught.value


def xattr(path: Path, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return None


def test_files_and_what_is_known_of_them(tmp_path: Path) -> None:
    data = tar_of(
        ("./", DIR, {"mode": 0o711}),
        ("etc", DIR, {"mode": 0o750, "mtime": 5}),
        ("etc/file", REG, {"data": b"x" * 3000, "mode": 0o4755, "mtime": 1_500_000_000.25}),
        ("etc/link", SYM, {"linkname": "../nowhere"}),
        ("etc/same", LNK, {"linkname": "etc/file"}),
        ("pipe", FIFO, {"mode": 0o600}),
        ("deep/er/implied", REG, {"data": b"y"}),
    )
    applied = unpack(data, tmp_path / "t")
    etc = tmp_path / "t/etc"
    assert (etc / "file").read_bytes() == b"x" * 3000
    assert (etc / "file").stat().st_mode & 0o7777 == 0o4755
    assert (etc / "file").stat().st_mtime_ns == 1_500_000_000_250_000_000
    assert (etc.stat().st_mode & 0o7777, etc.stat().st_mtime) == (0o750, 5)
    assert (etc / "link").readlink() == Path("../nowhere")
    assert (etc / "same").stat().st_ino == (etc / "file").stat().st_ino
    assert stat.S_ISFIFO((tmp_path / "t/pipe").stat().st_mode)
    assert (tmp_path / "t/deep/er").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o711
    assert (applied.size, applied.inodes, applied.has_root) == (3001, 5, True)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_long_names(tmp_path: Path, form: int) -> None:
    name = "/".join(["d" * 90] * 5) + "/" + "f" * 200
    target = "t" * 300
    link = ("l", SYM, {"linkname": target})
    unpack(tar_of((name, REG, {"data": b"z"}), link, form=form), tmp_path / "t")
    assert (tmp_path / "t" / name).read_bytes() == b"z"
    assert str((tmp_path / "t/l").readlink()) == target


def test_ustar_prefix(tmp_path: Path) -> None:
    name = "p" * 100 + "/" + "n" * 90
    unpack(tar_of((name, REG, {"data": b"z"}), form=tarfile.USTAR_FORMAT), tmp_path / "t")
    assert (tmp_path / "t" / name).is_file()


@pytest.mark.parametrize(
    "flags",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=lambda flags: flags[-1],
)
def test_sparse_files_of_gnu_tar(tmp_path: Path, flags: list[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        for index in range(40):  # more extents than one header holds
            file.seek(index * 1_000_000)
            file.write(b"%d" % index * 3000)
        file.truncate(60_000_000)
    (source / "after").write_bytes(b"still in step")
    command: list[str | Path] = [
        "tar",
        "--sparse",
        *flags,
        "-C",
        source,
        "-cf",
        "-",
        "holes",
        "after",
    ]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    unpack(data, tmp_path / "t")
    found = tmp_path / "t/holes"
    assert found.read_bytes() == (source / "holes").read_bytes()
    assert found.stat().st_blocks * 512 < 10_000_000
    assert (tmp_path / "t/after").read_bytes() == b"still in step"


def test_whiteouts(tmp_path: Path) -> None:
    data = tar_of(
        ("etc/.wh.gone", REG, {}),
        ("opt/.wh..wh..opq", REG, {}),
        ("opt/new", REG, {"data": b"n"}),
        (".wh..wh.plnk", DIR, {}),
    )
    unpack(data, tmp_path / "t")
    gone = (tmp_path / "t/etc/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert xattr(tmp_path / "t/opt", OPAQUE_XATTR) == b"y"
    assert sorted(path.name for path in (tmp_path / "t/opt").iterdir()) == ["new"]
    assert not (tmp_path / "t/.wh..wh.plnk").exists()


@pytest.mark.parametrize("order", ["whiteout first", "whiteout last"])
def test_a_whiteout_of_what_the_layer_itself_has(tmp_path: Path, order: str) -> None:
    new: list[Entry] = [("d", DIR, {}), ("d/kept", REG, {"data": b"k"})]
    hidden: list[Entry] = [(".wh.d", REG, {})]
    unpack(tar_of(*(hidden + new if order == "whiteout first" else new + hidden)), tmp_path / "t")
    assert (tmp_path / "t/d/kept").read_bytes() == b"k"
    assert xattr(tmp_path / "t/d", OPAQUE_XATTR) == b"y"


def test_later_entries_replace_earlier_ones(tmp_path: Path) -> None:
    data = tar_of(
        ("a", REG, {"data": b"first"}),
        ("b", DIR, {}),
        ("b/inside", REG, {"data": b"i"}),
        ("c", SYM, {"linkname": "b"}),
        ("a", REG, {"data": b"second"}),
        ("b", REG, {"data": b"file now"}),
        ("c", DIR, {}),
        ("c/x", REG, {"data": b"x"}),
    )
    unpack(data, tmp_path / "t")
    assert (tmp_path / "t/a").read_bytes() == b"second"
    assert (tmp_path / "t/b").read_bytes() == b"file now"
    assert (tmp_path / "t/c/x").read_bytes() == b"x"


def test_xattrs(tmp_path: Path) -> None:
    given = {"SCHILY.xattr.user.kind": "good", "SCHILY.xattr.user.overlay.opaque": "y"}
    data = tar_of(("f", REG, {"data": b"1", "pax_headers": given}), ("g", REG, {}))
    unpack(data, tmp_path / "t")
    assert xattr(tmp_path / "t/f", "user.kind") == b"good"
    assert xattr(tmp_path / "t/f", OPAQUE_XATTR) is None, "a command to overlayfs got through"
    assert xattr(tmp_path / "t/g", "user.kind") is None


HOSTILE: dict[str, list[Entry]] = {
    "parent": [("../evil", REG, {})],
    "parent in the middle": [("a/../../evil", REG, {})],
    "absolute": [("/evil", REG, {})],
    "through a symlink": [("w", SYM, {"linkname": "/tmp"}), ("w/evil", REG, {})],
    "through a relative symlink": [("w", SYM, {"linkname": "../.."}), ("w/evil", REG, {})],
    "directory through a symlink": [("w", SYM, {"linkname": ".."}), ("w/evil", DIR, {})],
    "whiteout through a symlink": [("w", SYM, {"linkname": ".."}), ("w/.wh.evil", REG, {})],
    "opaque through a symlink": [("w", SYM, {"linkname": ".."}), ("w/.wh..wh..opq", REG, {})],
    "hard link outwards": [("l", LNK, {"linkname": "../outside"})],
    "hard link to an absolute name": [("l", LNK, {"linkname": "/etc/passwd"})],
    "hard link through a symlink": [
        ("w", SYM, {"linkname": ".."}),
        ("l", LNK, {"linkname": "w/outside"}),
    ],
    "hard link to a directory": [("d", DIR, {}), ("l", LNK, {"linkname": "d"})],
    "a loop of symlinks": [("w", SYM, {"linkname": "w"}), ("w/evil", REG, {})],
    "the root is not a directory": [(".", REG, {})],
    "a whiteout of the parent": [(".wh...", REG, {})],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_gets_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("untouched")
    target = tmp_path / "a/t"
    target.parent.mkdir()
    before = sorted(path for path in tmp_path.rglob("*"))
    found = fault(tar_of(*((n, k, dict(a)) for n, k, a in HOSTILE[name])), target)
    assert found.kind == faults.HOSTILE
    assert found.entry
    after = sorted(path for path in tmp_path.rglob("*") if target not in (path, *path.parents))
    assert after == before
    assert (tmp_path / "outside").stat().st_nlink == 1


def test_a_symlink_is_written_through_only_within(tmp_path: Path) -> None:
    data = tar_of(("real", DIR, {}), ("w", SYM, {"linkname": "real"}), ("w/file", REG, {}))
    unpack(data, tmp_path / "t")
    assert (tmp_path / "t/real/file").is_file()


GOOD = tar_of(("file", REG, {"data": b"content" * 1000}))


def _changed(position: int, value: bytes) -> bytes:
    return GOOD[:position] + value + GOOD[position + len(value) :]


@pytest.mark.parametrize(
    "make",
    [
        lambda: GOOD[:300],
        lambda: GOOD[:2000],
        lambda: _changed(0, b"X"),
        lambda: _changed(148, b"zzzzzz"),
        lambda: os.urandom(4096),
    ],
    ids=["within a header", "within a file", "checksum", "no number", "noise"],
)
def test_corrupt_tars(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert fault(make(), tmp_path / "t").kind == faults.CORRUPT


def test_a_hard_link_to_nothing(tmp_path: Path) -> None:
    found = fault(tar_of(("l", LNK, {"linkname": "missing"})), tmp_path / "t")
    assert (found.kind, found.entry) == (faults.CORRUPT, "l")


def test_too_many_entries(tmp_path: Path) -> None:
    data = tar_of(*((f"f{index}", REG, {}) for index in range(11)))
    assert fault(data, tmp_path / "t", entries=10).kind == faults.LIMIT
