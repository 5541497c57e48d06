"""What a case of the corpus is, and how a tree is looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from scow.contract.errors import ScowError

_OVERLAY = ("user.overlay.", "trusted.overlay.")
_OPAQUE = ("user.overlay.opaque", "trusted.overlay.opaque")
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}


@dataclass(frozen=True)
class Node:
    """What is at a name. None in an expectation: anything.

    Attributes:
        kind: "file", "directory", "symlink", "fifo", "char", "block", "whiteout".
        data: Of a file; the target of a symlink.
        device: Major and minor number.
        same: The first name, in order, of the same inode.
        opaque: Whether what lower layers have in the directory is hidden.
        xattrs: Without those that speak to overlayfs.
    """

    kind: str
    data: bytes | None = None
    mode: int | None = None
    owner: tuple[int, int] | None = None
    mtime_ns: int | None = None
    device: tuple[int, int] | None = None
    same: bytes | None = None
    opaque: bool = False
    xattrs: dict[str, bytes] | None = None


Tree = dict[bytes, Node]


@dataclass(frozen=True)
class Refused:
    """A typed error.

    Attributes:
        error: Its class.
        entry: What it names; "" means that no entry is to blame.
        words: Part of its message.
    """

    error: type[ScowError]
    entry: str = ""
    words: str = ""


@dataclass(frozen=True)
class Accepted:
    """Any tree: it is not to be looked at by paths."""


@dataclass(frozen=True)
class Case:
    """One layer, as it is sent, and what must become of it."""

    name: str
    make: Callable[[], bytes]
    expect: Tree | Refused | Accepted


def case(name: str, layer: bytes, expect: Tree | Refused | Accepted) -> Case:
    """Return a case of a layer that is small enough to be made at once."""
    return Case(name, lambda: layer, expect)


def text(data: bytes = b"", **known: object) -> Node:
    """Return a regular file."""
    return Node("file", data, **known)  # type: ignore[arg-type]


def folder(**known: object) -> Node:
    """Return a directory."""
    return Node("directory", **known)  # type: ignore[arg-type]


def link(target: bytes) -> Node:
    """Return a symlink."""
    return Node("symlink", target)


WHITEOUT = Node("whiteout")


def read_tree(root: str) -> Tree:
    """Return all that is below a directory; b"" is the directory itself."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        inodes: dict[int, bytes] = {}
        return {name: _node(descriptor, name, inodes) for name in _names(descriptor)}
    finally:
        os.close(descriptor)


def _names(root: int) -> Iterator[bytes]:
    waiting = [b""]
    while waiting:
        name = waiting.pop()
        yield name
        status = os.stat(name or b".", dir_fd=root, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            inner = os.open(name or b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
            found = [os.fsencode(entry) for entry in os.listdir(inner)]
            os.close(inner)
            waiting += sorted((b"/".join((name, x)) if name else x for x in found), reverse=True)


def _node(root: int, name: bytes, inodes: dict[int, bytes]) -> Node:
    status = os.stat(name or b".", dir_fd=root, follow_symlinks=False)
    path = b"/proc/self/fd/%d/%s" % (root, name or b".")
    xattrs = {x: _xattr(path, x) for x in os.listxattr(path, follow_symlinks=False)}
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    data, device = None, None
    if kind == "file":
        data = _read(root, name)
    elif kind == "symlink":
        data = os.readlink(name, dir_fd=root)
    elif kind in ("char", "block"):
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
        kind = "whiteout" if kind == "char" and device == (0, 0) else kind
    return Node(
        kind=kind,
        data=data,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        mtime_ns=status.st_mtime_ns,
        device=device,
        same=inodes.setdefault(status.st_ino, name),
        opaque=any(xattrs.get(x) == b"y" for x in _OPAQUE),
        xattrs={x: value for x, value in xattrs.items() if not x.startswith(_OVERLAY)},
    )


def _xattr(path: bytes, name: str) -> bytes:
    return os.getxattr(path, name, follow_symlinks=False)


def _read(root: int, name: bytes) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=root), "rb") as stream:
        return stream.read()


def as_expected(found: Tree, expected: Tree) -> Tree:
    """Return what was found without all that was not asked for, so that it can be compared."""
    return {
        name: _masked(node, expected[name]) if name in expected else node
        for name, node in found.items()
        if name or name in expected
    }


def _masked(found: Node, expected: Node) -> Node:
    unasked: dict[str, Any] = {
        x.name: None for x in fields(Node) if getattr(expected, x.name) is None
    }
    return replace(found, **unasked)
