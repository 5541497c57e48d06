import errno
import os
from pathlib import Path

import pytest

from scow.kernel import hostpath
from scow.kernel.hostpath import UnexpectedLinkError


def opened(path: Path | str, *allowed: str, make: bool = False) -> str:
    descriptor = hostpath.open_path(str(path), allowed, make=make)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path.resolve()
    (tree / "real/data").mkdir(parents=True)
    (tree / "real/file").touch()
    (tree / "current").symlink_to("real")
    (tree / "absolute").symlink_to(tree / "current/data")
    (tree / "real/up").symlink_to("../current/../real/data")
    (tree / "loop").symlink_to("loop")
    return tree


@pytest.mark.parametrize(
    ("path", "where", "links"),
    [
        ("real/data", "real/data", []),
        ("real/file", "real/file", []),
        ("real/./data/..//data/", "real/data", []),
        ("current/data", "real/data", ["current"]),
        ("absolute", "real/data", ["absolute", "current"]),
        ("real/up", "real/data", ["real/up", "current"]),
        ("absolute/../up", "real/data", ["absolute", "current", "real/up", "current"]),
    ],
)
def test_links_that_were_there_are_followed(
    tree: Path, path: str, where: str, links: list[str]
) -> None:
    found = hostpath.links(str(tree / path))
    assert found == [str(tree / link) for link in links]
    assert opened(f"{tree}/{path}", *found) == str(tree / where)


def test_a_link_that_came_later_is_not_followed(tree: Path) -> None:
    assert hostpath.links(str(tree / "real/data")) == []
    (tree / "real/data").rmdir()
    (tree / "real/data").symlink_to("/etc")
    with pytest.raises(UnexpectedLinkError) as caught:
        opened(tree / "real/data")
    assert caught.value.filename == str(tree / "real/data")
    # Nor one on the way, nor one elsewhere than those that were there.
    (tree / "real").rename(tree / "other")
    (tree / "real").symlink_to("other")
    with pytest.raises(UnexpectedLinkError):
        opened(tree / "real/file", str(tree / "current"))


def test_what_is_missing(tree: Path) -> None:
    assert hostpath.links(str(tree / "current/new/er")) == [str(tree / "current")]
    with pytest.raises(FileNotFoundError):
        opened(tree / "real/new")
    made = opened(tree / "current/new/er", str(tree / "current"), make=True)
    assert made == str(tree / "real/new/er")
    assert (tree / "real/new/er").is_dir()
    with pytest.raises(NotADirectoryError):
        opened(tree / "real/file/new", make=True)


def test_nothing_is_made_behind_a_new_link(tree: Path) -> None:
    (tree / "real/data").rmdir()
    (tree / "real/data").symlink_to(tree)
    with pytest.raises(UnexpectedLinkError):
        opened(tree / "real/data/new", make=True)
    assert not (tree / "new").exists()


@pytest.mark.parametrize("path", ["", "etc", "./etc"])
def test_a_path_begins_at_the_root(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        opened(path)
    assert hostpath.options(hostpath.links(path)) == ["scow.checked"]


def test_loops_and_links_of_proc(tree: Path) -> None:
    with pytest.raises(OSError, match="Too many levels") as caught:
        hostpath.links(str(tree / "loop"))
    assert caught.value.errno == errno.ELOOP
    for path in ("/proc/self/root/etc", "/proc/self/fd/0"):
        with pytest.raises(UnexpectedLinkError):
            opened(path, *["/proc/self"])
