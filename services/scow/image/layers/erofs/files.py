"""The files of a layer, read from its index and its tar (`stacks.layer.LayerFiles`).

The index was written by `write`, and is trusted as far as its digest is checked when the service starts (`check`).
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from scow.image.layers.erofs import INDEX, TAR, ondisk
from scow.image.layers.erofs.ondisk import BLOCK, BLOCK_BITS, DIRENT, INODE, SLOT_BITS, TAR_START
from scow.image.stacks.layer import Inode

_SECOND = 1_000_000_000
_CHUNK_BITS_MASK = 31
_PREFIXES = {index: prefix.decode() for prefix, index in reversed(ondisk.XATTR_PREFIXES)}


class ErofsFiles:
    """The files of one layer.

    Args:
        folder: The layer's.
    """

    def __init__(self, folder: Path) -> None:
        with (folder / INDEX).open("rb") as file:
            self._index = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._tar = os.open(folder / TAR, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the index and the tar."""
        self._index.close()
        os.close(self._tar)

    def root(self) -> Inode:
        """Return the root directory, whose inode is the first one."""
        return self._inode(ondisk.INODES_OFFSET)

    def _inode(self, place: int) -> Inode:
        (layout, count, mode, _, size, block, number, uid, gid, seconds, nanoseconds, links) = (
            INODE.unpack_from(self._index, place)
        )
        body = 0 if not count else ondisk.XATTR_HEADER.size + (count - 1) * 4
        after = place + INODE.size + body
        kind = stat.S_IFMT(mode)
        return Inode(
            mode=mode,
            uid=uid,
            gid=gid,
            size=size,
            mtime_ns=seconds * _SECOND + nanoseconds,
            number=number,
            links=links,
            handle=(layout, block, after),
            link=self._target(layout, block, after, size) if kind == stat.S_IFLNK else b"",
            device=block if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
            xattrs=self._xattrs(place + INODE.size, body) if body else {},
        )

    def _target(self, layout: int, block: int, after: int, size: int) -> bytes:
        start = after if layout == ondisk.FLAT_INLINE else block << BLOCK_BITS
        return self._index[start : start + size]

    def _xattrs(self, start: int, length: int) -> dict[str, bytes]:
        found = {}
        position, end = start + ondisk.XATTR_HEADER.size, start + length
        while position < end:
            name_size, index, value_size = ondisk.XATTR.unpack_from(self._index, position)
            name_at = position + ondisk.XATTR.size
            value_at = name_at + name_size
            name = self._index[name_at:value_at].decode("utf-8", "surrogateescape")
            found[_PREFIXES[index] + name] = self._index[value_at : value_at + value_size]
            position = value_at + value_size
            position += -(position - start) % 4
        return found

    def _blocks(self, directory: Inode) -> Iterator[tuple[int, int]]:
        """Give the start and the length of each block of a directory."""
        _, block, _ = directory.handle
        start = block << BLOCK_BITS
        for offset in range(0, directory.size, BLOCK):
            yield start + offset, min(BLOCK, directory.size - offset)

    def _entries(self, start: int, length: int) -> Iterator[tuple[bytes, int]]:
        """Give the names in a block, and where their inodes are."""
        (_, first, _) = DIRENT.unpack_from(self._index, start)
        count = first // DIRENT.size
        fields = struct.unpack_from("<" + "QHBx" * count, self._index, start)
        offsets = (*fields[1::3], length)
        for number in range(count):
            name = self._index[start + offsets[number] : start + offsets[number + 1]]
            # The last name of a block that is not the directory's last one is padded.
            yield name.rstrip(b"\0"), fields[3 * number] << SLOT_BITS

    def child(self, directory: Inode, name: bytes) -> Inode | None:
        """Return what has a name in a directory: blocks, and names in them, are in order."""
        if name in (b".", b".."):
            return None
        blocks = list(self._blocks(directory))
        low, high = 0, len(blocks)
        while high - low > 1:
            middle = (low + high) // 2
            first, _ = next(self._entries(*blocks[middle]))
            low, high = (middle, high) if first <= name else (low, middle)
        if blocks:
            for found, place in self._entries(*blocks[low]):
                if found == name:
                    return self._inode(place)
        return None

    def children(self, directory: Inode) -> Iterator[tuple[bytes, Inode]]:
        """Give all that is in a directory."""
        for block in self._blocks(directory):
            for name, place in self._entries(*block):
                if name not in (b".", b".."):
                    yield name, self._inode(place)

    def read(self, file: Inode, offset: int, size: int) -> bytes:
        """Return bytes of a regular file."""
        layout, block, after = file.handle
        size = max(min(size, file.size - offset), 0)
        if not size:
            return b""
        if layout != ondisk.CHUNKED:
            return os.pread(self._tar, size, (block - TAR_START << BLOCK_BITS) + offset)
        return self._chunked(after, BLOCK << (block & _CHUNK_BITS_MASK), offset, size)

    def _chunked(self, table: int, chunk: int, offset: int, size: int) -> bytes:
        pieces = []
        while size:
            number, inside = divmod(offset, chunk)
            take = min(size, chunk - inside)
            (address,) = struct.unpack_from("<I", self._index, table + 4 * number)
            if address == ondisk.NO_BLOCK:
                pieces.append(bytes(take))
            elif address >= TAR_START:
                at = (address - TAR_START << BLOCK_BITS) + inside
                pieces.append(os.pread(self._tar, take, at))
            else:
                at = (address << BLOCK_BITS) + inside
                pieces.append(self._index[at : at + take])
            offset, size = offset + take, size - take
        return b"".join(pieces)
