"""Comparing two folders entry by entry: a layer with what its blob unpacks to now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from scow.core.archive.read.tree import Tree, path_of

# Differences that are told; one is enough to know.
MOST = 20
_READ = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def compare(kept: str, fresh: str, since_ns: int) -> list[str]:
    """Return what differs between two folders, in the words of messages; at most `MOST`.

    Args:
        kept: Path of the folder that is in doubt.
        fresh: Path of the one that is right.
        since_ns: When work on `fresh` began. A directory's time after that is not of the layer: it was only made on the
            way to something else.
    """
    found: list[str] = []
    one, two = Tree(kept), Tree(fresh)
    try:
        for difference in _differences(one, two, since_ns):
            found.append(difference)
            if len(found) >= MOST:
                break
    finally:
        one.close()
        two.close()
    return found


def _differences(one: Tree, two: Tree, since_ns: int) -> Iterator[str]:
    links: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})
    pending: list[list[bytes]] = [[]]
    yield from _entry(one.root, two.root, b".", b".", since_ns)
    while pending:
        parts = pending.pop()
        name = b"/".join(parts)
        left, right = one.existing(parts, name), two.existing(parts, name)
        try:
            mine, theirs = _names(left), _names(right)
            for each in sorted(mine ^ theirs):
                yield f"{_shown(parts, each)} is {'missing' if each in theirs else 'too much'}"
            for each in sorted(mine & theirs):
                path = b"/".join([*parts, each])
                yield from _entry(left, right, each, path, since_ns)
                yield from _links(left, right, each, path, links)
                if _is_directory(left, each) and _is_directory(right, each):
                    pending.append([*parts, each])
        finally:
            os.close(left)
            os.close(right)


def _names(directory: int) -> set[bytes]:
    # The descriptor only names the directory (O_PATH): it is opened to be read.
    descriptor = os.open(b"/proc/self/fd/%d/." % directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return {os.fsencode(name) for name in os.listdir(descriptor)}
    finally:
        os.close(descriptor)


def _shown(parts: list[bytes], name: bytes) -> str:
    return b"/".join([*parts, name]).decode(errors="replace")


def _is_directory(directory: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path_of(directory, name)).st_mode)


def _entry(left: int, right: int, name: bytes, path: bytes, since_ns: int) -> Iterator[str]:
    """Yield how an entry differs in kind, metadata and content."""
    shown = path.decode(errors="replace")
    one, two = os.lstat(path_of(left, name)), os.lstat(path_of(right, name))
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(two.st_mode):
        yield f"{shown} is of another kind"
        return
    for what, mine, theirs in (
        ("the mode", stat.S_IMODE(one.st_mode), stat.S_IMODE(two.st_mode)),
        ("the owner", (one.st_uid, one.st_gid), (two.st_uid, two.st_gid)),
        ("the device", one.st_rdev, two.st_rdev),
        ("the extended attributes", _xattrs(left, name), _xattrs(right, name)),
    ):
        if mine != theirs:
            yield f"{what} of {shown} differs"
    if one.st_mtime_ns != two.st_mtime_ns and not (
        stat.S_ISDIR(two.st_mode) and two.st_mtime_ns >= since_ns
    ):
        yield f"the time of {shown} differs"
    if stat.S_ISLNK(one.st_mode) and _target(left, name) != _target(right, name):
        yield f"the target of {shown} differs"
    if stat.S_ISREG(one.st_mode) and not (
        one.st_size == two.st_size and _same_bytes(left, right, name)
    ):
        yield f"the content of {shown} differs"


def _xattrs(directory: int, name: bytes) -> dict[str, bytes]:
    path = path_of(directory, name)
    names = os.listxattr(path, follow_symlinks=False)
    return {each: os.getxattr(path, each, follow_symlinks=False) for each in names}


def _target(directory: int, name: bytes) -> bytes:
    return os.readlink(path_of(directory, name))


def _same_bytes(left: int, right: int, name: bytes) -> bool:
    one, two = (os.open(name, _OPEN, dir_fd=directory) for directory in (left, right))
    try:
        while True:
            mine, theirs = os.read(one, _READ), os.read(two, _READ)
            if mine != theirs:
                return False
            if not mine:
                return True
    finally:
        os.close(one)
        os.close(two)


def _links(
    left: int,
    right: int,
    name: bytes,
    path: bytes,
    seen: tuple[dict[int, bytes], dict[int, bytes]],
) -> Iterator[str]:
    """Yield whether a file is a hard link of another one in one folder only."""
    first = []
    for directory, known in zip((left, right), seen, strict=True):
        status = os.lstat(path_of(directory, name))
        linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        first.append(known.setdefault(status.st_ino, path) if linked else path)
    if first[0] != first[1]:
        yield f"the hard links of {path.decode(errors='replace')} differ"
