"""Ways to keep layers. Each takes the bytes of a layer as they are sent and shows the tree that it stands for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from scow.core.archive.read.faults import Fault
from scow.core.archive.read.streams import Feed, TarStream, plain
from scow.core.archive.read.tree import Tree
from scow.image.layers.erofs.collect import Collector
from scow.image.layers.erofs.write import write
from scow.image.layers.unpack.apply import Applier
from scow.image.workers.pool import Limits, UnpackPool, error_of
from scow.kernel.trees import remove_tree
from tests.support.layers.ends import MAX_BYTES, MAX_ENTRIES
from tests.support.layertars import mounted


class Form(Protocol):
    """A way to keep layers."""

    def layer(self, data: bytes, base: Path) -> AbstractContextManager[Path]:
        """Make a layer below an empty directory, and give where its tree is to be seen; in the end all is gone.

        Raises:
            ScowError: The layer is refused.
        """

    def close(self) -> None:
        """End what was started."""


class Growing:
    """A layer's file of which the second half comes late."""

    def __init__(self, data: bytes) -> None:
        self.descriptor = os.memfd_create("layer")
        os.write(self.descriptor, data)
        self._size = len(data)

    def wait_now(self, position: int) -> tuple[int, bool]:
        """Tell how much there is, and whether that is all."""
        half = self._size // 2
        return (half, False) if position < half else (self._size, True)

    async def wait(self, position: int) -> tuple[int, bool]:
        """Tell the same to a pool."""
        return self.wait_now(position)

    def close(self) -> None:
        os.close(self.descriptor)


@contextlib.contextmanager
def growing(data: bytes) -> Iterator[Growing]:
    """Give a layer's file."""
    source = Growing(data)
    try:
        yield source
    finally:
        source.close()


@contextlib.contextmanager
def _folder(base: Path) -> Iterator[Path]:
    target = base / "layer"
    target.mkdir()
    try:
        yield target
    finally:
        remove_tree(target)


def unpack(data: bytes, target: str) -> None:
    """Write a layer into a directory, in this process.

    Raises:
        Fault: It is refused.
    """
    with growing(data) as source:
        _, pieces = plain(Feed(source.descriptor, source.wait_now))
        stream = TarStream(pieces, MAX_BYTES)
        tree = Tree(target)
        try:
            Applier(tree, stream, MAX_ENTRIES).run()
            stream.finish()
        finally:
            tree.close()
            stream.close()


class Unpacked:
    """Directories for overlayfs, written by what the worker runs."""

    @contextlib.contextmanager
    def layer(self, data: bytes, base: Path) -> Iterator[Path]:
        with _folder(base) as target:
            try:
                unpack(data, str(target))
            except Fault as fault:
                raise error_of(fault.kind, fault.message, fault.entry, target) from fault
            yield target

    def close(self) -> None:
        """Do nothing."""


class Indexed:
    """The plain tar with an index, mounted."""

    @contextlib.contextmanager
    def layer(self, data: bytes, base: Path) -> Iterator[Path]:
        with _folder(base) as target:
            try:
                _index(data, target)
            except Fault as fault:
                raise error_of(fault.kind, fault.message, fault.entry, target) from fault
            with mounted(target) as root:
                yield Path(f"/proc/self/fd/{root}")

    def close(self) -> None:
        """Do nothing."""


def _index(data: bytes, target: Path) -> None:
    with growing(data) as source, (target / "layer.tar").open("x+b") as tar:
        _, pieces = plain(Feed(source.descriptor, source.wait_now))
        stream = TarStream(pieces, MAX_BYTES, tar.fileno())
        try:
            root = Collector(stream, MAX_ENTRIES).run()
            _, size = stream.finish()
        finally:
            stream.close()
        with (target / "layer.erofs").open("xb") as index:
            write(root, size, index.fileno(), tar.fileno())


class _Apart:
    """Worker processes."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._pool = UnpackPool(1, 60.0, Limits(MAX_BYTES, MAX_ENTRIES))

    def close(self) -> None:
        self._loop.run(self._pool.close())
        self._loop.close()


class UnpackedApart(_Apart):
    """Directories for overlayfs, by worker processes."""

    @contextlib.contextmanager
    def layer(self, data: bytes, base: Path) -> Iterator[Path]:
        with _folder(base) as target, growing(data) as source:
            self._loop.run(self._pool.unpack(source, target))
            yield target


class IndexedApart(_Apart):
    """Indexes, by worker processes; a layer that came as a plain tar is that tar."""

    @contextlib.contextmanager
    def layer(self, data: bytes, base: Path) -> Iterator[Path]:
        with _folder(base) as target, growing(data) as source:
            self._loop.run(self._pool.index(source, target))
            tar = target / "layer.tar"
            if not tar.exists():
                tar.write_bytes(data)
            with mounted(target) as root:
                yield Path(f"/proc/self/fd/{root}")
