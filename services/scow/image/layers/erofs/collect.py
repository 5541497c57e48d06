"""From the entries of a tar to the tree of a layer: the meaning that `unpack.apply` gives them by system calls."""

from __future__ import annotations

import errno
import os
import stat
from array import array

from scow.core.archive.read import headers
from scow.core.archive.read.apply import Applied
from scow.core.archive.read.faults import LIMIT, Fault, corrupt, hostile
from scow.core.archive.read.headers import Entry
from scow.core.archive.read.streams import TarStream
from scow.core.archive.read.tree import components, link_target
from scow.image.layers.erofs import xattrs
from scow.image.layers.erofs.nodes import (
    Node,
    check_name,
    children,
    directory,
    existing,
    new_directory,
)
from scow.image.layers.erofs.ondisk import BLOCK, BLOCK_BITS
from scow.image.layers.unpack.marks import Mark, is_mark, mark_of

# Names, targets, attributes and maps are held in memory until the tar ends.
_TEXT_MAX = 512 << 20
_SYMLINK_MAX = 4095
# The largest file of ext4, so that both forms of a layer refuse the same ones.
_FILE_MAX = (1 << 44) - 4096
_KINDS = {
    headers.SYMLINK: stat.S_IFLNK,
    headers.CHAR: stat.S_IFCHR,
    headers.BLOCK_DEVICE: stat.S_IFBLK,
    headers.FIFO: stat.S_IFIFO,
}


class Collector:
    """Makes the tree, one entry after the other. The data of files are passed over.

    Args:
        stream: The archive.
        max_entries: Limit on the number of entries.
    """

    def __init__(self, stream: TarStream, max_entries: int) -> None:
        self.applied = Applied()
        self.root = new_directory(None)
        self._stream = stream
        self._max_entries = max_entries
        self._text = 0

    def run(self) -> Node:
        """Read all entries; return the root.

        Raises:
            Fault: With the name of the entry that is wrong.
        """
        for count, entry in enumerate(headers.entries(self._stream), 1):
            if count > self._max_entries:
                raise Fault(LIMIT, f"the layer has more than {self._max_entries} entries")
            self._text += len(entry.name)
            if self._text > _TEXT_MAX:
                raise Fault(LIMIT, f"the layer has more than {_TEXT_MAX} bytes of metadata")
            try:
                self._add(entry)
            except Fault as fault:  # the stream does not know whose data it reads
                raise fault.about(entry.name) from None
        return self.root

    def _add(self, entry: Entry) -> None:
        parts = components(entry.name)
        if not parts:
            self._add_root(entry)
            return
        if is_mark(parts):
            self._stream.skip(entry.size)
            self._add_mark(mark_of(parts, entry), entry)
            return
        name = parts.pop()
        parent = directory(self.root, parts, entry.name)
        check_name(name, entry.name)
        if entry.kind == headers.FILE:
            children(parent)[name] = self._file(entry)
        elif entry.kind == headers.DIRECTORY:
            self._add_directory(parent, name, entry)
        elif entry.kind == headers.LINK:
            self._add_link(parent, name, entry)
        else:
            children(parent)[name] = self._other(entry)

    def _add_root(self, entry: Entry) -> None:
        if entry.kind != headers.DIRECTORY:
            raise hostile("the archive's root is not a directory", entry.name)
        self.applied.has_root = True
        self._describe(self.root, entry)

    def _file(self, entry: Entry) -> Node:
        node = Node(stat.S_IFREG | entry.mode, entry.uid, entry.gid, entry.mtime_ns)
        node.size = entry.size
        node.content = self._stream.offset >> BLOCK_BITS
        if entry.sparse is not None:
            if entry.real_size > _FILE_MAX:
                raise _refused(errno.EFBIG, entry)
            node.size = entry.real_size
            node.extents = array("Q", [number for pair in entry.sparse for number in pair])
            self._text += node.extents.itemsize * len(node.extents) + BLOCK
        if entry.xattrs:
            node.xattrs = self._xattrs(node, entry)
        self._stream.skip(entry.size)
        self.applied.size += entry.size
        self.applied.inodes += 1
        return node

    def _add_directory(self, parent: Node, name: bytes, entry: Entry) -> None:
        before = children(parent).get(name)
        node = before
        if node is None or node.entries is None:
            node = children(parent)[name] = new_directory(parent)
            self.applied.inodes += 1
            if before is not None and _is_whiteout(before):
                # A whiteout of the name came first: what lower layers have there stays hidden.
                _make_opaque(node)
        self._describe(node, entry)

    def _describe(self, node: Node, entry: Entry) -> None:
        node.mode = stat.S_IFDIR | entry.mode
        node.uid, node.gid, node.mtime_ns = entry.uid, entry.gid, entry.mtime_ns
        if entry.xattrs:
            node.xattrs = {**(node.xattrs or {}), **(self._xattrs(node, entry) or {})} or None

    def _add_link(self, parent: Node, name: bytes, entry: Entry) -> None:
        target = link_target(entry.name, entry.link)
        source = existing(self.root, target[:-1], entry.name)
        check_name(target[-1], entry.name)
        node = None if source is None else children(source).get(target[-1])
        if source is None or node is None:
            raise corrupt("a hard link's target is not in the layer", entry.name)
        if children(parent).get(name) is node:
            return
        if node.entries is not None:
            raise hostile("a hard link leads to a directory", entry.name)
        before = children(parent).pop(name, None)
        if before is not None and _is_below(source, before):  # the target went with it
            raise corrupt("a hard link's target is not in the layer", entry.name)
        children(parent)[name] = node

    def _other(self, entry: Entry) -> Node:
        node = Node(_KINDS[entry.kind], entry.uid, entry.gid, entry.mtime_ns)
        if entry.kind == headers.SYMLINK:
            if not entry.link or b"\0" in entry.link:
                raise corrupt("a symlink has no target", entry.name)
            if len(entry.link) > _SYMLINK_MAX:
                raise _refused(errno.ENAMETOOLONG, entry)
            node.mode |= 0o777
            node.content = entry.link
            self._text += len(entry.link)
        else:
            node.mode |= entry.mode
            if entry.kind != headers.FIFO:
                node.content = _device(entry)
        if entry.xattrs:
            node.xattrs = self._xattrs(node, entry)
        self.applied.inodes += 1
        return node

    def _add_mark(self, mark: Mark | None, entry: Entry) -> None:
        if mark is None:
            return
        parent = directory(self.root, mark.directory, entry.name)
        if not mark.hidden:
            _make_opaque(parent)
            return
        check_name(mark.hidden, entry.name)
        node = children(parent).get(mark.hidden)
        if node is None:
            children(parent)[mark.hidden] = Node(stat.S_IFCHR)
        elif node.entries is not None:
            # Whiteouts speak of lower layers only: what this layer has put there stays.
            _make_opaque(node)

    def _xattrs(self, node: Node, entry: Entry) -> dict[str, bytes] | None:
        found = xattrs.kept(entry.xattrs, node.mode, entry.name, self.applied.skipped_xattrs)
        if found:
            self._text += sum(len(name) + len(value) for name, value in found.items())
        return found


def _is_whiteout(node: Node) -> bool:
    return stat.S_ISCHR(node.mode) and node.content == 0


def _make_opaque(node: Node) -> None:
    node.xattrs = {**(node.xattrs or {}), xattrs.OPAQUE: b"y"}


def _is_below(node: Node, other: Node) -> bool:
    """Tell whether a directory is another node or somewhere below it."""
    while node is not other:
        if node.parent is None or node.parent is node:
            return False
        node = node.parent
    return True


def _device(entry: Entry) -> int:
    """Return a device's number as inodes have it (linux/kdev_t.h, new_encode_dev)."""
    return entry.minor & 0xFF | entry.major << 8 | (entry.minor & ~0xFF) << 12


def _refused(number: int, entry: Entry) -> Fault:
    return hostile(f"an entry cannot be written: {os.strerror(number)}", entry.name)
