"""The file system of a result as one tar, for outputs that are files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from scow.api.image.v1 import layer_pb2
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.context.files import Entry
from scow.build.graph.layer_tar import Item, header
from scow.build.peers.layers import Layers
from scow.core.archive import headers

_PIECE = 1 << 20


async def pack(
    layers: Layers, stack: Sequence[Layer], latest_ns: int | None
) -> AsyncIterator[bytes]:
    """Give the tar, piece by piece.

    Args:
        layers: Who has the files.
        stack: The layers.
        latest_ns: Later times of files become this one; None leaves them.
    """
    buffer = bytearray()
    size = 0
    async for piece in layers.read(stack, b"/") if stack else _nothing():
        if piece.WhichOneof("piece") == "file":
            buffer += bytes(-size % headers.BLOCK)
            size = piece.file.size if not piece.file.hard_link else 0
            buffer += header(item(piece.file, latest_ns))
        else:
            buffer += piece.chunk
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    buffer += bytes(-size % headers.BLOCK) + headers.END
    yield bytes(buffer)


async def _nothing() -> AsyncIterator[layer_pb2.ReadTreeResponse.Piece]:
    return
    yield


def item(file: layer_pb2.File, latest_ns: int | None) -> Item:
    """Return a file of a stack as an item; a later time becomes `latest_ns`."""
    mtime_ns = file.mtime_ns if latest_ns is None else min(file.mtime_ns, latest_ns)
    entry = Entry(
        file.path,
        file.mode,
        file.uid,
        file.gid,
        file.size,
        mtime_ns,
        file.link,
        dict(file.xattrs),
        file.device,
    )
    return Item(file.path, entry, hard_link=file.hard_link)
