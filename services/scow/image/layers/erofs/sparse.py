"""Files with holes: equal chunks, each a hole, a place in the tar, or a place in the index.

What of an extent does not fill a whole chunk, or does not start at a block of the tar, is copied into the index.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator

from scow.core.archive.read.faults import LIMIT, Fault, corrupt
from scow.image.layers.erofs.nodes import Node
from scow.image.layers.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    CHUNK_BITS_MAX,
    NO_BLOCK,
    TAR_START,
    blocks,
)

_CHUNK_BITS_MIN = 3  # a page
# A file has at most this many chunks, and four more for each extent: so the index grows with the tar alone.
_CHUNKS = 1024
_COPY = 1 << 20

Piece = tuple[int, int, int]


def chunk_bits(node: Node) -> int:
    """Return how large a file's chunks are: a power of two, in blocks."""
    assert node.extents is not None
    most = _CHUNKS + 2 * len(node.extents)
    bits = _CHUNK_BITS_MIN
    while node.size > most << BLOCK_BITS + bits:
        bits += 1
    if bits > CHUNK_BITS_MAX:
        raise Fault(LIMIT, "a sparse file is larger than an index can describe")
    return bits


def chunk_count(node: Node) -> int:
    """Return the number of a file's chunks."""
    size = BLOCK << chunk_bits(node)
    return (node.size + size - 1) // size


class Area:
    """The part of the index that gets copies.

    Args:
        index: Descriptor of the index.
        tar: Descriptor of the tar.
        start: The area's first block.
    """

    def __init__(self, index: int, tar: int, start: int) -> None:
        self._index = index
        self._tar = tar
        self.end = start

    def place(self, node: Node) -> array[int]:
        """Return the addresses of a file's chunks; what must be copied is.

        Raises:
            Fault: It is too much, or the tar ends before.
        """
        size = BLOCK << chunk_bits(node)
        addresses = array("I", [NO_BLOCK]) * chunk_count(node)
        for number, pieces in _by_chunk(node, size):
            start = number * size
            end = min(start + size, node.size)
            offset, length, source = pieces[0]
            if offset == start and length == end - start and source % BLOCK == 0:
                addresses[number] = TAR_START + (source >> BLOCK_BITS)
            else:
                addresses[number] = self._copy(pieces, start, end - start)
        return addresses

    def _copy(self, pieces: list[Piece], start: int, length: int) -> int:
        address = self.end
        self.end += blocks(length)
        if self.end > TAR_START:
            raise Fault(LIMIT, "the layer's sparse files are larger than an index can hold")
        for offset, size, source in pieces:
            target = (address << BLOCK_BITS) + offset - start
            while size:
                data = os.pread(self._tar, min(size, _COPY), source)
                if not data:
                    raise corrupt("the layer is cut short: it ends within a file")
                os.pwrite(self._index, data, target)
                target, source, size = target + len(data), source + len(data), size - len(data)
        return address


def _by_chunk(node: Node, size: int) -> Iterator[tuple[int, list[Piece]]]:
    """Yield the chunks that have data: number, and pieces of (offset, length, place in the tar)."""
    assert node.extents is not None
    assert isinstance(node.content, int)
    source = node.content << BLOCK_BITS
    number, pieces = -1, list[Piece]()
    for position in range(0, len(node.extents), 2):
        offset, length = node.extents[position], node.extents[position + 1]
        while length:
            if offset // size != number:
                if pieces:
                    yield number, pieces
                number, pieces = offset // size, []
            take = min(length, (number + 1) * size - offset)
            pieces.append((offset, take, source))
            offset, length, source = offset + take, length - take, source + take
    if pieces:
        yield number, pieces
