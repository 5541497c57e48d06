"""Garbage collection: what nothing holds is forgotten in one transaction, and its files go afterwards.

What is held is told in `store`. When the process dies in between, the files have no rows and are found as strays.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from scow.core.journal import Journal
from scow.core.times import now_ns
from scow.image.blobs import Blobs
from scow.image.layers import Layers
from scow.image.leases import Leases
from scow.image.store import ImageStore, Layer


@dataclass
class Gone:
    """What has been forgotten: ids of images, layers, and blobs with their sizes."""

    images: list[str] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    blobs: list[tuple[str, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the layers' files and of the blobs."""
        return sum(layer.size for layer in self.layers) + sum(size for _, size in self.blobs)

    @property
    def digests(self) -> list[str]:
        """Ids of the images, then diff ids of the layers."""
        return [*self.images, *(layer.diff_id for layer in self.layers)]


class Collector:
    """Forgets and deletes.

    Args:
        rows: The tables.
        blobs: Files of blobs.
        layers: Folders of layers.
        leases: What work under way needs.
        journal: Of changes.
    """

    def __init__(
        self, rows: ImageStore, blobs: Blobs, layers: Layers, leases: Leases, journal: Journal
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._leases = leases
        self._journal = journal

    def forget(self, tx: sqlite3.Connection, images: Iterable[str], dropped: Iterable[str]) -> Gone:
        """Forget images, what only an index that lost its name held, and all that nothing holds then.

        Args:
            tx: The transaction.
            images: Ids of images without names and snapshots.
            dropped: Documents of which a name was dropped in this transaction.
        """
        gone = Gone([*images])
        for image in gone.images:
            self._forget_image(tx, image)
        for document in dropped:
            for image in self._rows.unnamed_below(tx, document):
                if image not in gone.images and not self._keeps(tx, image):
                    self._forget_image(tx, image)
                    gone.images.append(image)
        self._rows.delete_expired(tx, now_ns())
        gone.layers, gone.blobs = self._rows.delete_unused(tx, self._leases)
        return gone

    def _keeps(self, tx: sqlite3.Connection, image: str) -> bool:
        """Tell whether a snapshot, a client's lease or a pin keeps an image; called inside of a transaction."""
        found = self._rows.image(image)
        return (
            image in self._rows.used_images()
            or image in self._rows.leased_images()
            or (found is not None and bool(found.pinned))
        )

    def _forget_image(self, tx: sqlite3.Connection, image: str) -> None:
        self._rows.delete_image(tx, image)
        self._journal.append(tx, "image", image, "delete")

    async def discard(self, gone: Gone) -> None:
        """Delete the files of what was forgotten. Call it with no await since the transaction."""
        # Put aside at once: a pull may write the same blob again at any later time.
        aside = [self._blobs.put_aside(digest) for digest, _ in gone.blobs]
        for layer in gone.layers:
            await self._layers.discard(layer.number)
        await asyncio.to_thread(self._blobs.delete_aside, aside)

    async def sweep(self) -> Gone:
        """Forget and delete what nothing holds."""
        with self._rows.transaction() as tx:
            gone = self.forget(tx, (), ())
        await self.discard(gone)
        return gone
