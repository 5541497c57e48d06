"""Copies of trees: everything that a file can be, at any depth."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.kernel import tree_copy, trees
from tests.support.deep import deep, depth

_MTIME = 1_000_000_000_000_000_000


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = tmp_path / "image"
    (image / "sub").mkdir(parents=True)
    (image / "sub/file").write_text("text")
    os.chmod(image / "sub/file", 0o4751)
    os.link(image / "sub/file", image / "hard")
    (image / "soft").symlink_to("/nowhere")
    os.link(image / "soft", image / "sub/soft", follow_symlinks=False)
    old = os.umask(0)
    os.mkfifo(image / "fifo", 0o666)
    os.umask(old)
    os.utime(image / "sub", ns=(_MTIME, _MTIME))
    return image


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "target").mkdir()
    yield tmp_path / "target"
    assert list((tmp_path / "scratch").iterdir()) == []


@contextlib.contextmanager
def opened(image: Path, target: Path) -> Iterator[list[int]]:
    folders = [os.open(p, os.O_RDONLY) for p in (image, target, target.parent / "scratch")]
    try:
        yield folders
    finally:
        for folder in folders:
            os.close(folder)


def copy(image: Path, target: Path) -> None:
    with opened(image, target) as (source, made, scratch):
        tree_copy.copy_tree(source, made, scratch)


def test_links_modes_and_times(image: Path, target: Path) -> None:
    copy(image, target)
    assert sorted(os.listdir(target)) == ["fifo", "hard", "soft", "sub"]
    assert (target / "hard").stat().st_ino == (target / "sub/file").stat().st_ino
    assert (target / "hard").stat().st_nlink == 2
    assert (target / "hard").stat().st_mode & 0o7777 == 0o4751
    assert os.readlink(target / "soft") == "/nowhere"
    assert (target / "soft").lstat().st_ino == (target / "sub/soft").lstat().st_ino
    assert (target / "fifo").stat().st_mode == stat.S_IFIFO | 0o666
    assert (target / "sub").stat().st_mtime_ns == _MTIME


def test_the_directory_itself(image: Path, target: Path) -> None:
    os.chmod(image, 0o1770)
    copy(image, target)
    assert target.stat().st_mode & 0o7777 == 0o1770


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners and device nodes")
def test_owners_devices_and_attributes(image: Path, target: Path) -> None:
    os.chown(image / "sub/file", 1000, 1001)
    os.chmod(image / "sub/file", 0o4751)  # chown took the set-user-id bit
    os.lchown(image / "soft", 7, 8)
    os.mknod(image / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(image / "sub/file", "security.capability", capability)
    os.setxattr(image / "sub", "user.scow", b"yes")
    copy(image, target)
    status = (target / "hard").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 1001, 0o4751)
    assert os.getxattr(target / "hard", "security.capability") == capability
    assert os.getxattr(target / "sub", "user.scow") == b"yes"
    assert ((target / "soft").lstat().st_uid, (target / "soft").lstat().st_gid) == (7, 8)
    assert (target / "null").stat().st_rdev == os.makedev(1, 3)


def test_each_descriptor_is_closed_once_when_the_copy_goes_away(image: Path, target: Path) -> None:
    """Closed twice, it is another thread's that has the number by then."""
    called: list[None] = []

    def go_on() -> None:
        called.append(None)
        if len(called) == 1:
            (target / "sub").rmdir()

    before = sorted(os.listdir("/proc/self/fd"))
    with opened(image, target) as (source, made, scratch), pytest.raises(FileNotFoundError):
        tree_copy.copy_tree(source, made, scratch, go_on)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_holes_stay_holes(image: Path, target: Path) -> None:
    with (image / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 30)
        file.write(b"end")
        file.truncate(1 << 31)
    copy(image, target)
    made = (target / "sparse").stat()
    assert made.st_size == 1 << 31
    assert made.st_blocks * 512 < 1 << 20
    with (target / "sparse").open("rb") as file:
        assert file.read(5) == b"begin"
        file.seek(1 << 30)
        assert file.read(3) == b"end"


def test_any_depth(image: Path, target: Path) -> None:
    levels = 3000  # more than a path can name
    deep(image / "sub", levels)
    copy(image, target)
    assert depth(target / "sub") == levels
    for each in (image, target):
        trees.remove_tree(each)


def test_a_directory_that_is_moved_away_meanwhile(image: Path, target: Path) -> None:
    """Going up from there would lead out of the tree."""
    (image / "sub/inner").mkdir()
    seen = 0

    def go_on() -> None:
        nonlocal seen
        seen += 1
        if seen == 3:  # it is in the innermost one
            os.rename(image / "sub/inner", image.parent / "moved")

    with (
        opened(image, target) as (source, made, scratch),
        pytest.raises(OSError, match="moved") as raised,
    ):
        tree_copy.copy_tree(source, made, scratch, go_on)
    assert raised.value.errno == errno.ESTALE


def test_what_vanishes_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("a", "b", "c"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_bytes(b"12345")
    gone: list[str] = []

    def go_on() -> None:
        if not gone:  # what is below the root is known, and not yet looked at
            gone.extend(["a", "b"])
            shutil.rmtree(source / "a")
            (source / "b/file").unlink()

    for folder in ("target", "scratch"):
        (tmp_path / folder).mkdir()
    opened = [os.open(tmp_path / name, os.O_RDONLY) for name in ("source", "target", "scratch")]
    try:
        copied = tree_copy.copy_tree(opened[0], opened[1], opened[2], go_on)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    found = sorted(str(p.relative_to(tmp_path / "target")) for p in tmp_path.glob("target/**/*"))
    assert found == ["b", "c", "c/file"]
    assert copied.size == 5
