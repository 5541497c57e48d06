"""The bytes of an index. They depend on the tree alone: the same tar always gives the same ones."""

from __future__ import annotations

import hashlib
import os
import stat
import struct

from scow.core.archive.read.faults import LIMIT, Fault
from scow.image.layers.erofs import ondisk, xattrs
from scow.image.layers.erofs.nodes import Node, children
from scow.image.layers.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    DIRENT,
    INODE,
    SLOT_BITS,
    TAR_START,
    blocks,
)
from scow.image.layers.erofs.sparse import Area, chunk_bits, chunk_count

_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFLNK: 7,
}
_SECOND = 1_000_000_000


def write(root: Node, tar_size: int, index: int, tar: int) -> None:
    """Write the index of a tree.

    Args:
        root: The tree.
        tar_size: Bytes of the tar.
        index: Descriptor of an empty file.
        tar: Descriptor of the tar.

    Raises:
        Fault: The layer is larger than an index can describe.
    """
    if blocks(tar_size) > ondisk.TAR_BLOCKS_MAX:
        raise Fault(LIMIT, "the layer is larger than an index can describe")
    nodes = _collect(root)
    start = blocks(_place(nodes))
    data = _append_blocks(nodes, start)
    area = Area(index, tar, start + (len(data) >> BLOCK_BITS))
    head = bytearray(start << BLOCK_BITS)
    for number, node in enumerate(nodes, 1):
        _put_inode(head, node, number)
        if node.extents is not None:
            _put_chunks(head, node, area)
    _put_super(head, root, len(nodes), area.end)
    ondisk.DEVICE.pack_into(head, ondisk.DEVICE_OFFSET, b"layer.tar", blocks(tar_size), TAR_START)
    digest = hashlib.sha256(memoryview(head)[ondisk.SUPER_OFFSET :])
    digest.update(data)
    metadata = start + (len(data) >> BLOCK_BITS)
    ondisk.HEAD.pack_into(head, 0, ondisk.HEAD_WORDS, metadata, digest.digest())
    _write_at(index, head, 0)
    _write_at(index, data, start << BLOCK_BITS)
    os.ftruncate(index, area.end << BLOCK_BITS)


def _collect(root: Node) -> list[Node]:
    """Return all inodes, the root first, those of a directory together, and count their links."""
    found = [root]
    root.links = 2
    ahead = [root]
    while ahead:
        parent = ahead.pop()
        for _, node in sorted(children(parent).items()):
            if node.entries is not None:
                node.links = 2
                parent.links += 1
                ahead.append(node)
                found.append(node)
            else:
                node.links += 1
                if node.links == 1:
                    found.append(node)
    return found


def _place(nodes: list[Node]) -> int:
    """Give each inode its place; return where the last one ends."""
    position = ondisk.INODES_OFFSET
    # Attributes that many inodes have are encoded once.
    encoded: dict[tuple[tuple[str, bytes], ...], bytes] = {}
    for node in nodes:
        if node.xattrs is not None:
            key = tuple(sorted(node.xattrs.items()))
            if key not in encoded:
                encoded[key] = xattrs.encode(key)
            node.body = encoded[key]
        length = INODE.size + len(node.body)
        node.layout = ondisk.FLAT_PLAIN
        if node.extents is not None:
            node.layout = ondisk.CHUNKED
            length += 4 * chunk_count(node)
        elif isinstance(node.content, bytes):
            node.size = len(node.content)
            if (
                length + node.size <= BLOCK
            ):  # the kernel wants such a target in one block with its inode
                node.layout = ondisk.FLAT_INLINE
                length += node.size
                if position % BLOCK + length > BLOCK:
                    position += -position % BLOCK
        node.place = position
        position += length + (-length & 31)
    return position


def _append_blocks(nodes: list[Node], start: int) -> bytearray:
    """Return the blocks of directories and of long targets, which start at the block `start`."""
    data = bytearray()
    for node in nodes:
        if node.entries is not None:
            node.block = start + (len(data) >> BLOCK_BITS)
            node.size = _append_directory(data, node)
        elif isinstance(node.content, bytes):
            if node.layout == ondisk.FLAT_PLAIN:
                node.block = start + (len(data) >> BLOCK_BITS)
                data += node.content + bytes(-node.size % BLOCK)
        elif node.extents is not None:
            node.block = chunk_bits(node)
        elif stat.S_ISREG(node.mode):
            node.block = TAR_START + node.content if node.size else ondisk.NO_BLOCK
        else:
            node.block = node.content
    return data


def _append_directory(data: bytearray, node: Node) -> int:
    """Append the blocks of a directory; return its size. Each block: entries by name, then their names."""
    assert node.parent is not None
    entries = [*children(node).items(), (b".", node), (b"..", node.parent)]
    entries.sort(key=_name)
    used = size = 0
    fields: list[int] = []
    names: list[bytes] = []
    for name, child in entries:
        length = DIRENT.size + len(name)
        if used + length > BLOCK:
            _append_block(data, fields, names)
            size += BLOCK
            data += bytes(-len(data) % BLOCK)
            used, fields, names = 0, [], []
        used += length
        fields += (child.place >> SLOT_BITS, len(name), _TYPES[child.mode & 0o170000])
        names.append(name)
    _append_block(data, fields, names)
    data += bytes(-len(data) % BLOCK)
    return size + used


def _name(entry: tuple[bytes, Node]) -> bytes:
    return entry[0]


def _append_block(data: bytearray, fields: list[int], names: list[bytes]) -> None:
    offset = DIRENT.size * len(names)
    for position in range(1, len(fields), 3):
        length = fields[position]
        fields[position] = offset
        offset += length
    data += struct.pack("<" + "QHBx" * len(names), *fields)
    data += b"".join(names)


def _put_inode(head: bytearray, node: Node, number: int) -> None:
    seconds, nanoseconds = divmod(node.mtime_ns, _SECOND)
    place, body = node.place, node.body
    count = 0 if node.xattrs is None else (len(body) - ondisk.XATTR_HEADER.size) // 4 + 1
    INODE.pack_into(
        head,
        place,
        node.layout,
        count,
        node.mode,
        0,
        node.size,
        node.block,
        number,
        node.uid,
        node.gid,
        seconds,
        nanoseconds,
        node.links,
    )
    if node.layout == ondisk.FLAT_INLINE:
        assert isinstance(node.content, bytes)
        body += node.content
    if body:
        head[place + INODE.size : place + INODE.size + len(body)] = body


def _put_chunks(head: bytearray, node: Node, area: Area) -> None:
    addresses = area.place(node)
    place = node.place + INODE.size + len(node.body)
    struct.pack_into(f"<{len(addresses)}I", head, place, *addresses)


def _put_super(head: bytearray, root: Node, inodes: int, end: int) -> None:
    ondisk.SUPER.pack_into(
        head,
        ondisk.SUPER_OFFSET,
        ondisk.MAGIC,
        0,
        ondisk.COMPAT_MTIME,
        BLOCK_BITS,
        0,
        root.place >> SLOT_BITS,
        inodes,
        0,
        0,
        end,
        0,
        0,
        bytes(16),
        bytes(16),
        ondisk.INCOMPAT_CHUNKED_FILE | ondisk.INCOMPAT_DEVICE_TABLE,
        0,
        1,
        ondisk.DEVICE_OFFSET // ondisk.DEVICE.size,
    )


def _write_at(descriptor: int, data: bytearray, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
