"""`--squash`: the layers that a build has made as one.

Its files are those that the layers have together, each as it is in the result; what they took away of the base is a
whiteout. Nothing is mounted: the image service gives the files.
"""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Sequence

from scow.api.image.v1 import layer_pb2
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.context.files import Entry
from scow.build.export.tree_tar import item
from scow.build.graph.layer_tar import Item, header
from scow.build.peers.layers import Layers
from scow.core.archive import headers

_PIECE = 1 << 20
_WHITEOUT = b".wh."


async def squashed(
    layers: Layers, base: Sequence[Layer], made: Sequence[Layer]
) -> AsyncIterator[bytes]:
    """Give the tar of a layer that does to the base what several layers do.

    Args:
        layers: Who has the files.
        base: The layers below.
        made: The layers, at least one.
    """
    # A layer need not say what the directories are like that lead to its files: the result does.
    result = {file.path: file async for file in _files(layers, [*base, *made])}
    buffer = bytearray()
    size = 0
    async for piece in layers.read(made, b"/"):
        if piece.WhichOneof("piece") == "chunk":
            buffer += piece.chunk
        else:
            buffer += bytes(-size % headers.BLOCK)
            size = piece.file.size if not piece.file.hard_link else 0
            is_directory = stat.S_ISDIR(piece.file.mode)
            file = result.get(piece.file.path, piece.file) if is_directory else piece.file
            buffer += header(item(file, None))
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    buffer += bytes(-size % headers.BLOCK)
    async for path in _gone(layers, base, result):
        buffer += header(Item(path, Entry(path, stat.S_IFREG)))
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer + headers.END)


async def _files(layers: Layers, stack: Sequence[Layer]) -> AsyncIterator[layer_pb2.File]:
    if stack:
        async for piece in layers.read(stack, b"/", contents=False):
            yield piece.file


async def _gone(
    layers: Layers, base: Sequence[Layer], result: dict[bytes, layer_pb2.File]
) -> AsyncIterator[bytes]:
    """Give whiteouts for files of the base that the result does not have, the topmost of each tree alone."""
    async for file in _files(layers, base):
        parent, _, name = file.path.rpartition(b"/")
        above = result.get(parent or b"/")
        if file.path not in result and (not parent or (above and stat.S_ISDIR(above.mode))):
            yield parent + b"/" + _WHITEOUT + name
