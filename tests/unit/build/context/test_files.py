"""Trees of files: paths and links in them, and what counts in keys."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from scow.build.context.files import DataContents, Entry, FileTree, digest_of
from scow.build.graph.match import expand, literal_start
from scow.contract.errors import FileNotFound, InvalidContext

DIR, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


def tree(*entries: Entry) -> FileTree:
    return FileTree(entries, DataContents([]))


TREE = tree(
    Entry(b"a", DIR),
    Entry(b"a/one.txt", FILE),
    Entry(b"a/two.txt", FILE),
    Entry(b"a/b", DIR),
    Entry(b"a/b/three.md", FILE),
    Entry(b"abs", LINK, link=b"/a/b"),
    Entry(b"rel", LINK, link=b"a"),
    Entry(b"loop", LINK, link=b"loop"),
    Entry(b"up", LINK, link=b"../../../../a/one.txt"),
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"a/one.txt", b"a/one.txt"),
        (b"./a//b/../two.txt", b"a/two.txt"),
        (b"abs/three.md", b"a/b/three.md"),
        (b"rel/b/three.md", b"a/b/three.md"),
        (b"up", b"a/one.txt"),
        (b"../../a", b"a"),
        (b"", b""),
    ],
)
def test_paths_never_leave_the_tree(path: bytes, found: bytes) -> None:
    assert TREE.resolve(path).path == found


@pytest.mark.parametrize("path", [b"a/none", b"loop", b"a/one.txt/x", b"loop/x"])
def test_what_is_not_there(path: bytes) -> None:
    with pytest.raises(FileNotFound):
        TREE.resolve(path)


def test_wildcards() -> None:
    assert expand(TREE, b"a/*.txt") == [b"a/one.txt", b"a/two.txt"]
    assert expand(TREE, b"re*/b/*") == [b"a/b/three.md"]
    assert expand(TREE, b"*/none") == []
    assert literal_start(b"a/b/*.c/d") == b"a/b"


def test_a_file_comes_after_its_directory() -> None:
    with pytest.raises(InvalidContext):
        tree(Entry(b"x/y", FILE))


def test_what_counts_in_keys() -> None:
    entry = Entry(b"a", FILE, digest=b"1", xattrs={"user.x": b"y"})
    same = digest_of([(b"n", entry)])
    assert digest_of([(b"n", replace(entry, mtime_ns=5, path=b"other"))]) == same
    for other in (
        replace(entry, mode=FILE | 0o111),
        replace(entry, uid=1),
        replace(entry, gid=1),
        replace(entry, digest=b"2"),
        replace(entry, xattrs={}),
        replace(entry, link=b"1", digest=b""),
    ):
        assert digest_of([(b"n", other)]) != same
    assert digest_of([(b"m", entry)]) != same
    assert digest_of([(b"n", entry)], "tree") != same
