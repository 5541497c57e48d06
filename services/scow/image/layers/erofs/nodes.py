"""The tree of a layer in memory, and how names lead through it.

Names are followed as openat2(2) with RESOLVE_BENEATH does it, which is what unpacking uses: the same names are refused.
"""

from __future__ import annotations

import stat
from array import array

from scow.core.archive.read.faults import hostile
from scow.image.layers.erofs.ondisk import NAME_MAX

_PATH_MAX = 4095  # bytes of a path without the NUL (limits.h)
_LINKS_MAX = 40  # symlinks followed for one name (path_resolution(7))
# Directories that the archive has no entry for.
_IMPLIED_MODE = stat.S_IFDIR | 0o755


class Node:
    """An inode.

    Attributes:
        mode: Type and permissions.
        mtime_ns: Nanoseconds since 1970; 0 where the archive says nothing.
        xattrs: By name; None instead of none.
        size: Bytes of a file.
        content: A file's first block in the tar, a symlink's target, a device's number.
        extents: Offsets and lengths, one after the other, of a sparse file's data; else None.
        entries: A directory's nodes by name; None for what is not a directory.
        parent: The directory's own; the root is its own one.
        links: Names that it has.
        place: Where its inode is in the index.
        layout: How its data are found (`ondisk`); 0 of what has none.
        block: Where its data start.
        body: What stands behind the inode: xattrs, a short target.
    """

    __slots__ = (
        "block",
        "body",
        "content",
        "entries",
        "extents",
        "gid",
        "layout",
        "links",
        "mode",
        "mtime_ns",
        "parent",
        "place",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self, mode: int, uid: int = 0, gid: int = 0, mtime_ns: int = 0) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime_ns = mtime_ns
        self.xattrs: dict[str, bytes] | None = None
        self.size = 0
        self.content: int | bytes = 0
        self.extents: array[int] | None = None
        self.entries: dict[bytes, Node] | None = None
        self.parent: Node | None = None
        self.links = 0
        self.place = 0
        self.layout = 0
        self.block = 0
        self.body = b""


def new_directory(parent: Node | None, mode: int = _IMPLIED_MODE) -> Node:
    """Return an empty directory; without a parent, it is a root."""
    node = Node(mode)
    node.entries = {}
    node.parent = parent or node
    return node


def children(node: Node) -> dict[bytes, Node]:
    """Return the entries of a directory."""
    assert node.entries is not None
    return node.entries


def directory(root: Node, parts: list[bytes], entry: bytes) -> Node:
    """Return a directory, made with what leads to it if it is not there; `entry` is named in errors.

    Raises:
        Fault: The name leads outside or through something that is not a directory.
    """
    node = root
    for part in parts:
        child = children(node).get(part)
        if child is None or child.entries is None:
            return _make(root, parts, entry)
        node = child
    return node


def _make(root: Node, parts: list[bytes], entry: bytes) -> Node:
    """Make the missing directories behind the longest part of a name that leads somewhere."""
    there = len(parts)
    while (node := existing(root, parts[:there], entry)) is None:
        there -= 1
    for end in range(there, len(parts)):
        name = parts[end]
        check_name(name, entry)
        if name in children(node):  # a symlink that leads nowhere
            raise hostile("a part of an entry's name is not a directory", entry)
        children(node)[name] = node = new_directory(node)
    return node


def existing(root: Node, parts: list[bytes], entry: bytes) -> Node | None:
    """Return the directory that a name leads to, None when there is none.

    Raises:
        Fault: The name leads outside or through something that is not a directory.
    """
    if sum(map(len, parts)) + len(parts) > _PATH_MAX + 1:
        raise hostile("an entry's name is too long", entry)
    node = root
    ahead = parts[::-1]
    links = 0
    while ahead:
        part = ahead.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if node is root or node.parent is None:
                raise hostile("an entry reaches outside of the archive through a symlink", entry)
            node = node.parent
            continue
        check_name(part, entry)
        child = children(node).get(part)
        if child is None:
            return None
        if child.entries is not None:
            node = child
            continue
        links += 1
        ahead += _followed(child, links, entry)
    return node


def _followed(link: Node, links: int, entry: bytes) -> list[bytes]:
    """Return the parts of a symlink's target, the last one first."""
    if not stat.S_ISLNK(link.mode):
        raise hostile("a part of an entry's name is not a directory", entry)
    if links > _LINKS_MAX:
        raise hostile("an entry's name goes through a loop of symlinks", entry)
    target = link.content
    assert isinstance(target, bytes)
    if target.startswith(b"/"):
        raise hostile("an entry reaches outside of the archive through a symlink", entry)
    return target.split(b"/")[::-1]


def check_name(name: bytes, entry: bytes) -> None:
    """Refuse a name that no file system takes.

    Raises:
        Fault: It is too long.
    """
    if len(name) > NAME_MAX:
        raise hostile("an entry's name is too long", entry)
