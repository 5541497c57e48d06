"""Looking files up in stacks, and reading them."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, TypeVar

from scow.api.image.v1 import layer_pb2 as pb
from scow.contract.errors import InvalidArgument
from scow.core.tasks import completed
from scow.image.content.digests import is_digest
from scow.image.layers.on_demand import LayersOnDemand
from scow.image.layers.store import Layers
from scow.image.stacks.layer import Inode
from scow.image.stacks.merged import Merged, Node

T = TypeVar("T")
_CHUNK = 1 << 20
# Bytes of a message, and how many files it has at most.
_MESSAGE = 1 << 20
_FILES = 2000
_LAYERS_MAX = 1024

Piece = pb.ReadTreeResponse.Piece


class StackReader:
    """Reads stacks.

    Args:
        layers: Where layers are.
        unpacking: Who sees to it that they are there.
    """

    def __init__(self, layers: Layers, unpacking: LayersOnDemand) -> None:
        self._layers = layers
        self._unpacking = unpacking

    async def look_up(self, request: pb.LookUpRequest) -> pb.LookUpResponse:
        """Tell what paths lead to.

        Raises:
            InvalidArgument: A path that no process could follow.
            ContentMissing, LayerCorrupt: See these classes.
        """
        async with self._opened(request.layers) as merged:
            return await _in_thread(_found, merged, request)

    async def read(self, request: pb.ReadTreeRequest) -> AsyncIterator[pb.ReadTreeResponse]:
        """Stream files and their contents.

        Raises:
            FileNotFound: There is nothing at the path.
            InvalidArgument, ContentMissing, LayerCorrupt: As for `look_up`.
        """
        async with self._opened(request.layers) as merged:
            messages = _messages(_pieces(merged, request))
            while (message := await _in_thread(next, messages, None)) is not None:
                yield message

    @contextlib.asynccontextmanager
    async def _opened(self, stack: Sequence[pb.Layer]) -> AsyncIterator[Merged]:
        check_stack(stack)
        rows = await self._unpacking.ensure_all({layer.diff_id: layer.digest for layer in stack})
        by_id = {row.diff_id: row for row in rows}
        with contextlib.ExitStack() as opened:
            files = []
            for layer in stack:
                one = self._layers.files(by_id[layer.diff_id])
                opened.callback(one.close)
                files.append(one)
            yield Merged(files)


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run in a thread, which ends before a cancellation goes on: the descriptors that it uses are closed then."""
    return await completed(asyncio.to_thread(function, *arguments))


def check_stack(stack: Sequence[pb.Layer]) -> None:
    """Check that layers are named by digests.

    Raises:
        InvalidArgument: One is not, or there are too many.
    """
    if len(stack) > _LAYERS_MAX:
        raise InvalidArgument("too many layers", what="layers", do=f"use at most {_LAYERS_MAX}")
    for layer in stack:
        if not (is_digest(layer.diff_id) and is_digest(layer.digest)):
            raise InvalidArgument(
                f"a layer {layer.diff_id!r} with the blob {layer.digest!r}",
                what="layer",
                which=layer.diff_id,
                do="give layers as this service returned them",
            )


def _found(merged: Merged, request: pb.LookUpRequest) -> pb.LookUpResponse:
    response = pb.LookUpResponse()
    for path in request.paths:
        node, missing = merged.find(path, follow=not request.no_follow)
        parents = node.ancestors()
        found = response.found.add()
        if missing:
            if node.parent is not None:
                parents.append(node)
            found.file.path = node.path.rstrip(b"/") + b"/" + b"/".join(missing)
        else:
            _describe(found.file, node.path, node.inode)
        for parent in parents:
            _describe(found.parents.add(), parent.path, parent.inode)
    return response


def _describe(file: pb.File, path: bytes, inode: Inode) -> None:
    file.path = path
    file.mode, file.uid, file.gid = inode.mode, inode.uid, inode.gid
    file.size = inode.size if stat.S_ISREG(inode.mode) else 0
    file.mtime_ns = inode.mtime_ns
    file.link = inode.link
    file.device = inode.device
    for name, value in inode.attributes().items():
        file.xattrs[name] = value


def _pieces(merged: Merged, request: pb.ReadTreeRequest) -> Iterator[Piece]:
    names: dict[tuple[int, int], bytes] = {}
    only = set(request.only)
    for node in merged.walk(merged.get(request.path)):
        piece = Piece()
        path = node.path
        _describe(piece.file, path, node.inode)
        if node.inode.links > 1 and not node.inode.is_directory:
            key = (node.layers[0][0], node.inode.number)
            piece.file.hard_link = names.setdefault(key, path)
            if piece.file.hard_link == path:
                piece.file.hard_link = b""
        yield piece
        wanted = not request.list and (not only or path in only)
        if wanted and stat.S_ISREG(node.inode.mode) and not piece.file.hard_link:
            yield from _content(merged, node)


def _content(merged: Merged, node: Node) -> Iterator[Piece]:
    offset = 0
    while offset < node.inode.size:
        data = merged.read(node, offset, _CHUNK)
        if not data:
            break
        yield Piece(chunk=data)
        offset += len(data)


def _messages(pieces: Iterator[Piece]) -> Iterator[pb.ReadTreeResponse]:
    """Put pieces together to messages of a good size."""
    message, size = pb.ReadTreeResponse(), 0
    for piece in pieces:
        message.pieces.append(piece)
        size += piece.ByteSize()
        if size >= _MESSAGE or len(message.pieces) >= _FILES:
            yield message
            message, size = pb.ReadTreeResponse(), 0
    if message.pieces:
        yield message
