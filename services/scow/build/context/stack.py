"""Files of stages and images as a tree to copy from. Only what a step names is listed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Sequence

from scow.api.image.v1 import layer_pb2
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.context.files import Entry, FileTree
from scow.build.graph import match
from scow.build.peers.layers import Layers
from scow.contract.errors import FileNotFound


class StackContents:
    """Contents of files of a stack (`files.Contents`).

    Args:
        layers: Who has them.
        stack: The stack.
    """

    def __init__(self, layers: Layers, stack: Sequence[Layer]) -> None:
        self._layers = layers
        self._stack = stack

    async def read(self, entries: Sequence[Entry]) -> AsyncIterator[tuple[int, bytes]]:
        """Give contents; see `files.Contents`."""
        start = 0
        while start < len(entries):
            end = start + 1
            while end < len(entries) and _order(entries[end - 1]) < _order(entries[end]):
                if entries[end].hard_link or entries[start].hard_link:
                    break  # its content comes with its own path alone
                end += 1
            async for number, data in self._run(entries[start:end]):
                yield start + number, data
            start = end

    async def _run(self, entries: Sequence[Entry]) -> AsyncIterator[tuple[int, bytes]]:
        """Read files that follow each other in the tree."""
        paths = [b"/" + entry.path for entry in entries]
        numbers = {path: number for number, path in enumerate(paths)}
        top = paths[0] if len(paths) == 1 else os.path.commonpath(paths)
        number = -1
        async for piece in self._layers.read(self._stack, top, only=paths):
            if piece.WhichOneof("piece") == "file":
                number = numbers.get(piece.file.path, -1)
            elif number >= 0:
                yield number, piece.chunk


def _order(entry: Entry) -> list[bytes]:
    return entry.path.split(b"/")


async def tree_of(layers: Layers, stack: Sequence[Layer], paths: Sequence[str]) -> FileTree:
    """Return the tree of what paths of a step name.

    Args:
        layers: Who has the files.
        stack: The stack.
        paths: As the step has them, with wildcards.

    Raises:
        FileNotFound: There is no such file.
    """
    names = hashlib.sha256("\n".join(layer.diff_id for layer in stack).encode()).hexdigest()
    listed = _Listed(layers, stack)
    for path in paths:
        await listed.add(_clean(os.fsencode(path)))
    tree = FileTree(listed.sorted(), StackContents(layers, stack), f"stack:{names}")
    tree.aliases.update(listed.aliases)
    # What a wildcard finds may be links to anywhere.
    for path in paths:
        if match.is_pattern(clean := _clean(os.fsencode(path))):
            for found in match.expand(tree, clean):
                if tree.entries[found].is_link:
                    await listed.add(found)
    tree = FileTree(listed.sorted(), tree.contents, tree.identity)
    tree.aliases.update(listed.aliases)
    return tree


def _clean(path: bytes) -> bytes:
    return b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


class _Listed:
    """Entries that were listed so far, by path."""

    def __init__(self, layers: Layers, stack: Sequence[Layer]) -> None:
        self._layers = layers
        self._stack = stack
        self._entries: dict[bytes, Entry] = {}
        self.aliases: dict[bytes, bytes] = {}

    def sorted(self) -> list[Entry]:
        return sorted(self._entries.values(), key=_order)

    async def add(self, path: bytes) -> None:
        """List what is at and below a path, up to its first wildcard."""
        start = match.literal_start(path)
        found = (
            (await self._layers.look_up(self._stack, [b"/" + start]))[0] if self._stack else None
        )
        if found is None or not (found.file.mode or found.file.path == b"/"):
            text = path.decode(errors="replace")
            raise FileNotFound(
                f'"/{text}": not found', what="file", which=text, do="see what the stage has"
            )
        real = found.file.path.lstrip(b"/")
        self.aliases[start] = real
        for parent in found.parents:
            self._put(parent)
        async for piece in self._layers.read(self._stack, found.file.path, contents=False):
            self._put(piece.file)

    def _put(self, file: layer_pb2.File) -> None:
        path = file.path.lstrip(b"/")
        if not path:
            return
        self._entries[path] = Entry(
            path,
            file.mode,
            file.uid,
            file.gid,
            file.size,
            file.mtime_ns,
            file.link,
            dict(file.xattrs),
            file.device,
            hard_link=file.hard_link.lstrip(b"/"),
        )
