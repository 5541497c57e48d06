"""A store with images of two layers, for what decides over images."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from scow.core.journal import Journal
from scow.core.store import Store
from scow.image.content.blobs import Blobs
from scow.image.content.digests import digest_of
from scow.image.gc.collector import Collector
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import MIGRATIONS, Image, ImageStore, Layer, Manifest, Name

_BASE = digest_of(b"base")


class Folders:
    """Stands for the folders of layers: notes which are deleted."""

    def __init__(self) -> None:
        self.deleted: list[int] = []

    async def discard(self, number: int) -> None:
        self.deleted.append(number)


@dataclass
class Shop:
    """A store with images of two layers, the lower of which all share."""

    rows: ImageStore
    leases: Leases
    folders: Folders
    collector: Collector
    base: Path
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    count: int = 0

    def add(self, name: str, used_ns: int = 0) -> str:
        """Add an image with a name; return its id."""
        self.count += 1
        image, manifest, top = (digest_of(f"{name} {kind}".encode()) for kind in "imt")
        with self.rows.transaction() as tx:
            self.rows.insert_image(
                tx, Image(image, self.count, self.count, used_ns), [_BASE, top], b""
            )
            for digest in (manifest, image):
                self.rows.insert_blob(tx, digest, 10)
            self.rows.insert_manifest(tx, Manifest(manifest, "", image), [image])
            self.rows.insert_layer(tx, Layer(top, self.count, "overlay", top, 100, 1, 1))
            if self.count == 1:
                self.rows.insert_layer(tx, Layer(_BASE, 1000, "overlay", _BASE, 50, 1, 1))
            self.rows.set_name(tx, Name(name, manifest, image))
        return image

    def drop(self, *images: str) -> list[str]:
        """Drop images; return the ids of those that are gone."""
        _, gone = asyncio.run(self.collector.drop(images))
        return gone.images


def open_shop(base: Path) -> Shop:
    """Return an empty store in a folder."""
    store = Store.open(base / "image.db", MIGRATIONS)
    rows, leases, folders = ImageStore(store), Leases(), Folders()
    journal = Journal(store, "test", 100)
    collector = Collector(rows, Blobs(base), folders, leases, journal)  # type: ignore[arg-type]
    return Shop(rows, leases, folders, collector, base)
