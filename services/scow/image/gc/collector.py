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
from scow.image.content.blobs import Blobs
from scow.image.gc.leases import Leases
from scow.image.layers.store import Layers
from scow.image.metadata.tables import Image, ImageStore, Layer


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
        """Ids of the images, then diff ids of the layers, each image's topmost first."""
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
        diff_ids = [d for image in gone.images for d in self._forget_image(tx, image)]
        for image in self._rows.unnamed_below(tx, dropped):
            if not self._keeps(image):
                diff_ids += self._forget_image(tx, image)
                gone.images.append(image)
        self._rows.delete_expired(tx, now_ns())
        layers, gone.blobs = self._rows.delete_unused(tx, self._leases)
        order = {diff_id: position for position, diff_id in enumerate(diff_ids)}
        gone.layers = sorted(layers, key=lambda layer: order.get(layer.diff_id, len(order)))
        return gone

    def unused(self) -> list[Image]:
        """Return the images that may go: no snapshot, lease, work under way or pin keeps them.

        What only an index kept whole holds is left out: it goes with the index.
        """
        kept = self._rows.used_images() | self._rows.leased_images() | self._rows.in_indexes_only()
        return [
            image
            for image in self._rows.images()
            if image.id not in kept and not image.pinned and image.id not in self._leases
        ]

    async def drop(self, image_ids: Iterable[str]) -> tuple[list[str], Gone]:
        """Untag and forget images, but for those that are in use now; return their references and what is gone."""
        untagged: list[str] = []
        dropped: list[str] = []
        with self._rows.transaction() as tx:
            chosen = [
                image for image in image_ids if self._rows.image(image) and not self._keeps(image)
            ]
            for image in chosen:
                references = [*self._rows.names(image), *self._rows.repo_digests(image)]
                dropped += [self.untag(tx, image, reference) for reference in references]
                untagged += references
            gone = self.forget(tx, chosen, dropped)
        await self.discard(gone)
        return untagged, gone

    def untag(self, tx: sqlite3.Connection, image_id: str, reference: str) -> str:
        """Drop a reference or digest reference; return the document that it stood for."""
        known = self._rows.name(reference)
        self._rows.unname(tx, reference)
        self._rows.drop_repo_digest(tx, reference)
        self._journal.append(tx, "image", image_id, "untag", {"name": reference})
        return known.manifest if known else reference.partition("@")[2]

    def _keeps(self, image: str) -> bool:
        """Tell whether a snapshot, a lease, work under way or a pin keeps an image."""
        found = self._rows.image(image)
        return (
            bool(self._rows.owners_of(image))
            or image in self._leases
            or image in self._rows.leased_images()
            or (found is not None and bool(found.pinned))
        )

    def _forget_image(self, tx: sqlite3.Connection, image: str) -> list[str]:
        """Forget an image; return its layers, the topmost first."""
        diff_ids = self._rows.diff_ids(image)
        told = image not in self._rows.transient_images()
        self._rows.delete_image(tx, image)
        if told:
            self._journal.append(tx, "image", image, "delete")
        return diff_ids[::-1]

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
            transient = self._rows.transient_images()
            gone = self.forget(tx, [image for image in transient if not self._keeps(image)], ())
        await self.discard(gone)
        return gone
