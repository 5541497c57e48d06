"""Snapshots for owners: the writable file systems on top of images.

A snapshot's row comes first: from then on the image is in use and stays. When the work on it fails the row goes
again; when the process dies in between, the owner asks again, or is gone and is released.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.contract.errors import Cancelled, ImageNotFound, InvalidArgument, PlatformMismatch
from scow.core.times import now_ns
from scow.image.catalog.images import Images
from scow.image.layers.on_demand import LayersOnDemand
from scow.image.layers.store import Layers
from scow.image.metadata.tables import Image, ImageStore, Snapshot
from scow.image.oci.platforms import Platform, host, runnable
from scow.image.snapshots.folders import SnapshotFolders
from scow.image.trust.check import Trust


class Snapshots:
    """All snapshots.

    Args:
        rows: The tables.
        images: Who finds and describes images.
        trust: Who decides which of them may be run.
        layers: What they lie on.
        unpacking: Who sees to it that layers are there.
        folders: Where they are.
    """

    def __init__(
        self,
        rows: ImageStore,
        images: Images,
        trust: Trust,
        layers: Layers,
        unpacking: LayersOnDemand,
        folders: SnapshotFolders,
    ) -> None:
        self._rows = rows
        self._images = images
        self._trust = trust
        self._unpacking = unpacking
        self._layers = layers
        self._folders = folders

    @property
    def driver(self) -> str:
        """Name of the driver of new layers."""
        return self._layers.driver

    async def prepare(
        self, name: str, owner: str, platform: Platform | None
    ) -> tuple[pb.Image, list[Mount]]:
        """Make, or find again, an owner's snapshot of an image; return how to mount it.

        Raises:
            ImageNotFound, PlatformNotFound: There is no such image, or it is here for other platforms alone.
            PlatformMismatch: This machine does not run it.
            ImageUntrusted, InvalidTrustPolicy: The trust policy does not let it be run, or cannot be read.
            LayerCorrupt, KernelUnsupported: A layer is damaged, or in a form that does not work here.
            Cancelled: The snapshot was released meanwhile.
            DiskFull: No space is left.
        """
        if not owner:
            raise InvalidArgument("no owner", what="owner", do='give "container/<id>"')
        known = self._rows.snapshot(owner)
        image = self._rows.image(known.image) if known else self._find(name, platform)
        assert image is not None
        message = self._images.describe(image)
        about = message.platform
        _check_platform(name, Platform(about.os, about.architecture, about.variant))
        self._trust.at_run(name, image.id)
        snapshot = known or Snapshot(owner, self._rows.next_number(), image.id)
        with self._rows.transaction() as tx:
            if known is None:
                self._rows.insert_snapshot(tx, snapshot, now_ns())
            self._rows.set_used(tx, image.id, now_ns())
        try:
            mounts = await self._make(snapshot, image)
        except BaseException:
            if known is None:
                await asyncio.shield(self.release(owner))
            raise
        return message, mounts

    def _find(self, name: str, platform: Platform | None) -> Image:
        image = self._images.find(name)
        if platform is None:
            return image
        if not runnable(platform):  # to pull it for that would not help
            raise PlatformMismatch(
                f"image {name} is asked for on {platform}, and this machine runs {host()}",
                what="platform",
                which=str(platform),
                do=f"leave --platform out, or give {host()}",
            )
        return self._images.find_for(name, platform)

    async def _make(self, snapshot: Snapshot, image: Image) -> list[Mount]:
        lowers = [self._layers.lower(layer) for layer in await self._unpacking.ensure(image.id)]
        if self._rows.snapshot(snapshot.owner) != snapshot:
            raise Cancelled(
                f"the snapshot of {snapshot.owner} was released",
                what="snapshot",
                which=snapshot.owner,
                do="prepare it again",
            )
        self._folders.make(snapshot.number, lowers)
        return self._folders.mounts(snapshot.number, lowers)

    async def release(self, owner: str) -> None:
        """Give an owner's snapshot back."""
        known = self._rows.snapshot(owner)
        if known is None:
            return
        with self._rows.transaction() as tx:
            self._rows.delete_snapshot(tx, owner)
        await asyncio.to_thread(self._folders.remove, known.number)

    async def usage(self, owner: str) -> tuple[int, int]:
        """Count the bytes and inodes of an owner's snapshot.

        Raises:
            ImageNotFound: The owner has none.
        """
        return await asyncio.to_thread(self._folders.usage, self.find(owner).number)

    def find(self, owner: str) -> Snapshot:
        """Return an owner's snapshot.

        Raises:
            ImageNotFound: The owner has none.
        """
        known = self._rows.snapshot(owner)
        if known is None:
            raise ImageNotFound(
                f"{owner} has no snapshot", what="snapshot", which=owner, do="prepare one first"
            )
        return known

    def changes(self, snapshot: Snapshot) -> Path:
        """Return where what was changed is, as overlayfs has it."""
        return self._folders.changes(snapshot.number)

    def owners(self) -> set[str]:
        """Return everyone who has a snapshot."""
        return {snapshot.owner for snapshot in self._rows.snapshots()}

    async def remove_strays(self) -> list[int]:
        """Delete the folders without a row; return their numbers."""
        recorded = {snapshot.number for snapshot in self._rows.snapshots()}
        strays = sorted(self._folders.numbers() - recorded)
        for number in strays:
            await asyncio.to_thread(self._folders.remove, number)
        return strays


def _check_platform(name: str, platform: Platform) -> None:
    if not runnable(platform):
        raise PlatformMismatch(
            f"image {name} is for {platform}, and this machine runs {host()}",
            what="image",
            which=name,
            do=f"pull it with --platform {host()}, or use another image",
        )
