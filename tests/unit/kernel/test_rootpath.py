"""Paths below a root that tries to lead out of it. openat2(2) needs no privilege."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scow.kernel import rootpath, syscalls
from scow.shim.rootfs import mounts


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("host")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def root(top: Path) -> Iterator[int]:
    fd = os.open(top, os.O_PATH)
    yield fd
    os.close(fd)


def place(fd: int) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return path


def test_directories_and_files_are_made_with_their_parents(top: Path, root: int) -> None:
    assert place(rootpath.make_dir(root, "/a/b/c")) == str(top / "a/b/c")
    assert place(rootpath.make_file(root, "/a/x/file")) == str(top / "a/x/file")
    assert (top / "a/x/file").read_bytes() == b""
    assert place(rootpath.make_dir(root, "/a/b/c")) == str(top / "a/b/c")
    assert place(rootpath.open_in(root, "/")) == str(top)


@pytest.mark.parametrize("make", [rootpath.make_dir, rootpath.make_file])
@pytest.mark.parametrize(
    ("target", "expected"),
    [("/abs", "abs/x"), ("../../../up", "up/x"), ("sub/../other", "other/x"), ("/", "x")],
)
def test_links_stay_inside(
    top: Path, root: int, make: Callable[[int, str], int], target: str, expected: str
) -> None:
    (top / "sub").mkdir()
    (top / "link").symlink_to(target)
    assert place(make(root, "/link/x")) == str(top / expected)


def test_dot_dot_stays_inside(top: Path, root: int) -> None:
    with pytest.raises(FileNotFoundError):
        rootpath.open_in(root, "../secret")
    assert place(rootpath.make_file(root, "/../../secret")) == str(top / "secret")


def test_a_chain_of_dangling_links(top: Path, root: int) -> None:
    for number in range(10):
        (top / f"l{number}").symlink_to(f"l{number + 1}")
    assert place(rootpath.make_dir(root, "/l0/end")) == str(top / "l10/end")


def test_a_loop_ends(top: Path, root: int) -> None:
    (top / "a").symlink_to("b")
    (top / "b").symlink_to("a")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        rootpath.make_dir(root, "/a/x")


def test_magic_links_are_refused(top: Path, root: int) -> None:
    fd = os.open("/proc", os.O_PATH)
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
            rootpath.open_in(fd, "self/root/etc")
    finally:
        os.close(fd)


def test_a_file_in_the_way(top: Path, root: int) -> None:
    (top / "file").touch()
    with pytest.raises(NotADirectoryError):
        rootpath.make_dir(root, "/file/x")


def test_a_plain_directory_has_no_link(top: Path, root: int) -> None:
    assert place(rootpath.make_plain_dir(root, "/proc")) == str(top / "proc")
    (top / "sys").symlink_to("proc")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        rootpath.make_plain_dir(root, "/sys")


def test_what_somebody_else_makes_meanwhile_is_opened(
    root: int, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def after_another(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", after_another)
    assert place(rootpath.make_dir(root, "/a/b")) == str(top / "a/b")


def test_a_link_in_the_place_of_what_was_made_is_not_followed(
    root: int, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another container that has the volume too may put one there."""
    monkeypatch.setattr(
        os, "mkdir", lambda name, mode, *, dir_fd: os.symlink("/", name, dir_fd=dir_fd)
    )
    with pytest.raises(OSError, match="links") as raised:
        rootpath.make_dir(root, "/a")
    assert raised.value.errno == errno.ELOOP


def test_one_who_renames_again_and_again_keeps_nobody_waiting_for_ever(
    root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[None] = []

    def raced(*_: object) -> int:
        tries.append(None)
        assert len(tries) < 100
        raise BlockingIOError(errno.EAGAIN, "raced")

    monkeypatch.setattr(syscalls, "_raw", raced)
    for opened in (rootpath.open_in, mounts.open_part):
        tries.clear()
        with pytest.raises(BlockingIOError):
            opened(root, "a/../b")
