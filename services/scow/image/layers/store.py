"""Layers: folders `layers/<number>`, each in the form of its driver.

A layer is unpacked into `layers/new-<number>` and renamed once it is known to be right. Its row follows when all of
it has reached the disk: after a power cut no row tells of files that are not there. New layers are of the driver that
the configuration chooses. A layer whose driver does not work here, because the kernel is another one now, counts as
damaged and is made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scow.contract.errors import (
    DigestMismatch,
    ImageUnusable,
    InvalidArchive,
    KernelUnsupported,
    LayerCorrupt,
)
from scow.core.disk import writing
from scow.image.content.blobs import Blobs, Ingest, lost, open_blob
from scow.image.content.digests import SHA256, algorithm_of
from scow.image.layers.drivers import Driver, Lower
from scow.image.metadata.tables import ImageStore, Layer
from scow.image.stacks.layer import LayerFiles
from scow.image.workers.pool import Source, Unpacked
from scow.kernel.trees import remove_tree

_NEW = "new-"
# By how much times of files lag behind the clock: they are those of the last tick.
_CLOCK_SLACK_NS = 1_000_000_000


class Layers:
    """The folders of layers.

    Args:
        base: The service's folder.
        rows: The tables.
        blobs: Where layers come from as they are sent.
        drivers: Those that work here, by name; the first one makes new layers.
    """

    def __init__(
        self,
        base: Path,
        rows: ImageStore,
        blobs: Blobs,
        drivers: Mapping[str, Driver],
    ) -> None:
        self._folder = base / "layers"
        self._folder.mkdir(exist_ok=True, mode=0o711)
        self._rows = rows
        self._blobs = blobs
        self._drivers = drivers
        self._driver = next(iter(drivers.values()))
        self._busy: set[int] = set()
        # Seen to be whole since this process started: looking again may be quick.
        self._verified: set[int] = set()
        self._lowers: dict[int, Lower] = {}

    @property
    def drivers(self) -> list[str]:
        """Names of the drivers that work here; the first one makes new layers."""
        return list(self._drivers)

    @property
    def driver(self) -> str:
        """Name of the driver of new layers."""
        return self._driver.name

    def path(self, number: int) -> Path:
        """Return a layer's folder."""
        return self._folder / str(number)

    def _new_path(self, number: int) -> Path:
        return self._folder / f"{_NEW}{number}"

    def lower(self, layer: Layer) -> Lower:
        """Describe a layer for an overlay.

        Raises:
            LayerCorrupt: Its folder is damaged.
            KernelUnsupported: It is in a form that does not work here.
        """
        known = self._lowers.get(layer.number)
        if known is not None:
            return known
        driver = self._drivers.get(layer.driver)
        if driver is None:
            raise KernelUnsupported(
                f"layer {layer.diff_id} is kept for the driver {layer.driver}, which does not work here",
                what="layer",
                which=layer.diff_id,
                do="wait until it is made anew, or pull the image again",
            )
        found = self._lowers[layer.number] = driver.lower(self.path(layer.number))
        return found

    def files(self, layer: Layer) -> LayerFiles:
        """Open a layer's files, to be read and closed.

        Raises:
            LayerCorrupt: Its folder is damaged.
            KernelUnsupported: It is in a form that does not work here.
        """
        self.lower(layer)
        try:
            return self._drivers[layer.driver].files(self.path(layer.number))
        except OSError as error:
            raise lost(layer.blob) from error

    async def unpack(
        self, source: Source, driver: Driver | None = None, *, slot: bool = True
    ) -> tuple[int, Unpacked]:
        """Unpack a layer to a new number; `keep`, `record` or `discard` decides what becomes of it.

        Args:
            source: The layer, compressed or not.
            driver: In whose form; None means that of new layers.
            slot: Wait until a worker is free; see `UnpackPool.lend`.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: Nothing is left then.
        """
        number = self._rows.next_number()
        self._busy.add(number)
        folder = self._new_path(number)
        try:
            with writing(self._folder):
                folder.mkdir(mode=0o700)
            return number, await (driver or self._driver).unpack(source, folder, slot=slot)
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
        new, folder = self._new_path(number), self.path(number)
        self._driver.finish(new, self._blobs.path(blob))
        new.rename(folder)
        await self._driver.sync(folder)
        known = self._rows.layer(unpacked.diff_id)
        if known is not None:
            return known
        self._verified.add(number)
        layer = Layer(
            unpacked.diff_id,
            number,
            self._driver.name,
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
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull, DigestMismatch: See these classes.
        """
        since = time.time_ns() - _CLOCK_SLACK_NS
        driver = self._drivers.get(layer.driver, self._driver)
        blob = self._blobs.path(layer.blob)
        with open_blob(blob, layer.blob) as source:
            number, unpacked = await self.unpack(source, driver)
        try:
            check_diff_id(unpacked, layer.blob, layer.diff_id)
            driver.finish(self._new_path(number), blob)
            yield Fresh(self, layer, number, since)
        finally:
            if number in self._busy:
                await asyncio.shield(self.discard(number))

    async def compare(self, layer: Layer, number: int, since_ns: int) -> list[str]:
        """Return how a layer differs from a fresh one that is not recorded."""
        driver = self._drivers.get(layer.driver)
        if driver is None:
            return [_unusable(layer)]
        fresh = self._new_path(number)
        return await driver.differences(self.path(layer.number), fresh, since_ns)

    async def adopt(self, layer: Layer, number: int, aside: Path) -> None:
        """Let a fresh folder take the place of a layer's, which is moved aside."""
        driver = self._drivers.get(layer.driver, self._driver)
        await driver.sync(self._new_path(number))
        folder = self.path(layer.number)
        if folder.exists():
            folder.rename(aside)
        self._replace(layer, number, driver)

    def _replace(self, layer: Layer, number: int, driver: Driver) -> None:
        """Let a fresh folder that is on the disk become that of a layer, which has none now.

        Containers know the layer by its number. Killed at any moment, it is missing, and made anew by reconciliation.
        """
        self._forget(layer.number)
        with self._rows.transaction() as tx:
            self._rows.set_layer_driver(tx, layer.diff_id, driver.name)
        self._new_path(number).rename(self.path(layer.number))
        self._busy.discard(number)

    async def damaged(self) -> list[tuple[Layer, str]]:
        """Return the recorded layers that are not what they were, and what is wrong with them."""
        found = []
        for layer in self._rows.all_layers():
            wrong = await asyncio.to_thread(self._damage, layer)
            if wrong:
                found.append((layer, wrong))
            else:
                self._verified.add(layer.number)
        return found

    def _damage(self, layer: Layer) -> str:
        driver = self._drivers.get(layer.driver)
        if driver is None:
            return _unusable(layer)
        thorough = layer.number not in self._verified
        return driver.damage(self.path(layer.number), layer.tar_size, thorough=thorough)

    async def rebuild(self, layer: Layer) -> None:
        """Make a recorded layer anew, of what is left of it or of its blob.

        It keeps its form where that works: containers have mounts of it on record.

        Raises:
            LayerCorrupt: The blob is gone too, or is not what it was.
        """
        driver = self._drivers.get(layer.driver)
        left = None if driver is None else driver.source(self.path(layer.number))
        if left is not None and await self._rebuild_of(layer, left):
            return
        if not await self._rebuild_of(layer, self._blobs.path(layer.blob)):
            raise lost(layer.blob)

    async def _rebuild_of(self, layer: Layer, path: Path) -> bool:
        """Make a layer anew of a file; False when it is not in there."""
        driver = self._drivers.get(layer.driver, self._driver)
        number = 0
        try:
            with open_blob(path, layer.blob) as source:
                number, unpacked = await self.unpack(source, driver)
            if unpacked.diff_id != layer.diff_id:
                return False
            driver.finish(self._new_path(number), path)
            await driver.sync(self._new_path(number))
            if self.path(layer.number).exists():
                await asyncio.to_thread(remove_tree, self.path(layer.number))
            self._replace(layer, number, driver)
        except (LayerCorrupt, InvalidArchive):
            return False
        finally:
            if number in self._busy:
                await asyncio.shield(self.discard(number))
        return True

    async def discard(self, number: int) -> None:
        """Delete a layer without a row."""
        self._busy.add(number)
        self._forget(number)
        for folder in (self._new_path(number), self.path(number)):
            if folder.exists():
                await asyncio.to_thread(remove_tree, folder)
        self._busy.discard(number)

    def _forget(self, number: int) -> None:
        self._lowers.pop(number, None)
        self._verified.discard(number)

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


def _unusable(layer: Layer) -> str:
    return f"the driver {layer.driver} does not work here"


def check_diff_id(unpacked: Unpacked, blob: str, diff_id: str) -> None:
    """Check that a layer unpacked to what its image says.

    Raises:
        DigestMismatch: It did not.
        ImageUnusable: The image names it by a digest of another kind than this engine makes.
    """
    if algorithm_of(diff_id) != SHA256:
        raise ImageUnusable(
            f"the configuration names the layer {blob} by {diff_id[:20]}..., not by the SHA-256 of its tar",
            what="layer",
            which=blob,
            do="make the image again with diff_ids that are sha256 digests",
        )
    if unpacked.diff_id != diff_id:
        raise DigestMismatch(
            f"the layer {blob} unpacks to {unpacked.diff_id} instead of {diff_id}",
            what="layer",
            which=blob,
            do="tell who made the image: its configuration and its layers disagree",
        )
