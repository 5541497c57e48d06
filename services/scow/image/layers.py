"""Unpacked layers: folders `layers/<number>`, each in the form that overlayfs wants of a lower directory.

A layer is unpacked into `layers/new-<number>` and renamed once it is known to be right. Its row follows when all of
it has reached the disk: after a power cut no row tells of files that are not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from scow.core.disk import writing
from scow.core.errors import DigestMismatch
from scow.core.trees import remove_tree
from scow.image.blobs import Blobs, Ingest, lost, open_blob
from scow.image.sharedsync import SharedSync
from scow.image.store import ImageStore, Layer
from scow.image.unpack.pool import Source, Unpacked, UnpackPool

DRIVER = "overlay"
_NEW = "new-"
# By how much times of files lag behind the clock: they are those of the last tick.
_CLOCK_SLACK_NS = 1_000_000_000


class Layers:
    """The folders of layers.

    Args:
        base: The service's folder.
        rows: The tables.
        blobs: Where layers come from as they are sent.
        pool: Who unpacks.
    """

    def __init__(self, base: Path, rows: ImageStore, blobs: Blobs, pool: UnpackPool) -> None:
        self._folder = base / "layers"
        self._folder.mkdir(exist_ok=True, mode=0o711)
        self._rows = rows
        self._blobs = blobs
        self._pool = pool
        self._busy: set[int] = set()
        self._sync = SharedSync(self._folder)

    def path(self, number: int) -> Path:
        """Return a layer's folder."""
        return self._folder / str(number)

    async def unpack(self, source: Source) -> tuple[int, Unpacked]:
        """Unpack a layer to a new number; `keep` or `discard` decides what becomes of it.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: Nothing is left then.
        """
        number = self._rows.next_number()
        self._busy.add(number)
        folder = self._folder / f"{_NEW}{number}"
        try:
            with writing(self._folder):
                folder.mkdir(mode=0o755)
                folder.chmod(0o755)
            return number, await self._pool.unpack(source, folder)
        except BaseException:
            await asyncio.shield(self.discard(number))
            raise

    async def keep(self, number: int, unpacked: Unpacked, ingest: Ingest) -> Layer:
        """Make what was unpacked a layer, and what it was unpacked of a blob.

        When another made the same layer first, that one is returned.

        Raises:
            DiskFull: Nothing is left unpacked then.
        """
        size = ingest.size
        try:
            blob = await self._blobs.commit(ingest)
            with self._rows.transaction() as tx:
                self._rows.insert_blob(tx, blob, size)
            known = self._rows.layer(unpacked.diff_id)
            return known or await self._record(number, unpacked, blob)
        finally:
            if number in self._busy:
                await asyncio.shield(self.discard(number))

    async def record(self, number: int, unpacked: Unpacked, blob: str) -> Layer:
        """Make what was unpacked of a blob that is here a layer.

        When another made the same layer first, that one is returned.

        Raises:
            DiskFull: Nothing is left unpacked then.
        """
        try:
            known = self._rows.layer(unpacked.diff_id)
            return known or await self._record(number, unpacked, blob)
        finally:
            if number in self._busy:
                await asyncio.shield(self.discard(number))

    async def _record(self, number: int, unpacked: Unpacked, blob: str) -> Layer:
        (self._folder / f"{_NEW}{number}").rename(self.path(number))
        await self._sync()
        known = self._rows.layer(unpacked.diff_id)
        if known is not None:
            return known
        layer = Layer(
            unpacked.diff_id,
            number,
            DRIVER,
            blob,
            unpacked.size,
            unpacked.tar_size,
            unpacked.inodes,
        )
        with self._rows.transaction() as tx:
            self._rows.insert_layer(tx, layer)
        self._busy.discard(number)
        return layer

    async def add(self, blob: str, diff_id: str) -> Layer:
        """Unpack a blob that is here to a layer; one that is there already is returned.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: Nothing is left then.
            DigestMismatch: It unpacks to something else.
        """
        known = self._rows.layer(diff_id)
        if known is not None:
            return known
        with open_blob(self._blobs.path(blob), blob) as source:
            number, unpacked = await self.unpack(source)
        try:
            check_diff_id(unpacked, blob, diff_id)
        except DigestMismatch:
            await asyncio.shield(self.discard(number))
            raise
        return await self.record(number, unpacked, blob)

    @contextlib.asynccontextmanager
    async def fresh(self, layer: Layer) -> AsyncIterator[Fresh]:
        """Unpack a recorded layer's blob once more, to compare the layer with it, and perhaps to replace it.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull, DigestMismatch: As they say.
        """
        since = time.time_ns() - _CLOCK_SLACK_NS
        with open_blob(self._blobs.path(layer.blob), layer.blob) as source:
            number, unpacked = await self.unpack(source)
        try:
            check_diff_id(unpacked, layer.blob, layer.diff_id)
            yield Fresh(self, layer, number, since)
        finally:
            if number in self._busy:
                await asyncio.shield(self.discard(number))

    async def compare(self, layer: Layer, number: int, since_ns: int) -> list[str]:
        """Return how a layer differs from a fresh one that is not recorded."""
        fresh = self._folder / f"{_NEW}{number}"
        return await self._pool.compare(self.path(layer.number), fresh, since_ns)

    async def adopt(self, layer: Layer, number: int, aside: Path) -> None:
        """Let a fresh folder take the place of a layer's, which is moved aside."""
        (self._folder / f"{_NEW}{number}").rename(self.path(number))
        await self._sync()
        # Killed between these two, the layer is missing, and made anew by reconciliation.
        if self.path(layer.number).exists():
            self.path(layer.number).rename(aside)
        with self._rows.transaction() as tx:
            self._rows.set_layer_number(tx, layer.diff_id, number)
        self._busy.discard(number)

    def missing(self) -> list[Layer]:
        """Return the recorded layers whose folders are gone."""
        return [layer for layer in self._rows.all_layers() if not self.path(layer.number).is_dir()]

    async def rebuild(self, layer: Layer) -> None:
        """Unpack a recorded layer anew, where it was.

        Raises:
            LayerCorrupt: The blob is gone too, or is not what it was.
        """
        number = 0
        try:
            with open_blob(self._blobs.path(layer.blob), layer.blob) as source:
                number, unpacked = await self.unpack(source)
            if unpacked.diff_id != layer.diff_id:
                raise lost(layer.blob)
            await self._sync()
            (self._folder / f"{_NEW}{number}").rename(self.path(layer.number))
        finally:
            await self.discard(number)

    async def discard(self, number: int) -> None:
        """Delete a layer without a row."""
        self._busy.add(number)
        for name in (f"{_NEW}{number}", str(number)):
            if (self._folder / name).exists():
                await asyncio.to_thread(remove_tree, self._folder / name)
        self._busy.discard(number)

    def strays(self) -> list[int]:
        """Return the numbers of folders without a row that nobody is writing."""
        known = {layer.number for layer in self._rows.all_layers()}
        found = {int(name.removeprefix(_NEW)) for name in os.listdir(self._folder)}
        return sorted(found - known - self._busy)


@dataclass(frozen=True)
class Fresh:
    """A recorded layer, unpacked once more to a number of its own; made by `Layers.fresh`."""

    layers: Layers
    layer: Layer
    number: int
    since_ns: int

    async def differences(self) -> list[str]:
        """Return how the recorded layer differs from it."""
        return await self.layers.compare(self.layer, self.number, self.since_ns)

    async def adopt(self, aside: Path) -> None:
        """Take the place of the recorded layer's folder, which is moved aside."""
        await self.layers.adopt(self.layer, self.number, aside)


def check_diff_id(unpacked: Unpacked, blob: str, diff_id: str) -> None:
    """Check that a layer unpacked to what its image says.

    Raises:
        DigestMismatch: It did not.
    """
    if unpacked.diff_id != diff_id:
        raise DigestMismatch(
            f"the layer {blob} unpacks to {unpacked.diff_id} instead of {diff_id}",
            what="layer",
            which=blob,
            do="tell who made the image: its configuration and its layers disagree",
        )
