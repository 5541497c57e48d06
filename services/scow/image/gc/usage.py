"""How much the store takes on the disk, and what could go."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from scow.api.image.v1 import store_pb2 as pb
from scow.core.times import to_proto
from scow.image.metadata.tables import ImageStore, Layer
from scow.image.snapshots.owners import Snapshots

_OVERLAY = "overlay"


class Usage:
    """Counts.

    Args:
        base: The service's folder.
        rows: The tables.
        snapshots: Who counts what snapshots hold.
    """

    def __init__(self, base: Path, rows: ImageStore, snapshots: Snapshots) -> None:
        self._base = base
        self._rows = rows
        self._snapshots = snapshots

    async def count(self) -> pb.DiskUsageResponse:
        """Count what images, layers, blobs and snapshots take."""
        response = pb.DiskUsageResponse()
        self._count_images(response)
        await self._count_snapshots(response)
        about = os.statvfs(self._base)
        response.disk_total = about.f_blocks * about.f_frsize
        response.disk_free = about.f_bavail * about.f_frsize
        return response

    def _count_images(self, response: pb.DiskUsageResponse) -> None:
        layers = {row.diff_id: _size(row) for row in self._rows.all_layers()}
        blobs = self._rows.blobs()
        size_of = {f"layer/{digest}": size for digest, size in layers.items()}
        size_of |= {f"blob/{digest}": size for digest, size in blobs.items()}
        content = self._rows.content_of_images()
        shares = Counter(item for items in content.values() for item in items)
        used = self._rows.used_images()
        active: set[str] = set().union(*(content.get(image, ()) for image in used))
        for image in self._rows.images():
            items = content.get(image.id, set())
            response.items.add(
                kind="image",
                id=image.id,
                size=sum(size_of.get(item, 0) for item in items),
                shared=sum(size_of.get(item, 0) for item in items if shares[item] > 1),
                in_use=image.id in used,
                created_at=to_proto(image.created_ns),
                used_at=to_proto(image.used_ns),
            )
        for kind, sizes in (("layer", layers), ("blob", blobs)):
            for digest, size in sizes.items():
                count = shares[f"{kind}/{digest}"]
                shared = size if count > 1 else 0
                response.items.add(kind=kind, id=digest, size=size, shared=shared, in_use=count > 0)
        held = shares.keys() & size_of.keys()
        response.images_size = sum(size_of[item] for item in held)
        response.images_reclaimable = sum(size_of[item] for item in held - active)

    async def _count_snapshots(self, response: pb.DiskUsageResponse) -> None:
        ages = self._rows.snapshot_ages()
        for owner in sorted(ages):
            if self._rows.snapshot(owner) is None:  # released while others were counted
                continue
            size, _ = await self._snapshots.usage(owner)
            response.items.add(
                kind="snapshot",
                id=owner,
                size=size,
                in_use=True,
                created_at=to_proto(ages[owner]),
            )
            response.snapshots_size += size


def _size(layer: Layer) -> int:
    """Return what a layer takes besides its blob."""
    if layer.driver == _OVERLAY:
        return layer.size
    # The others keep the tar; a blob that is plain is the same file.
    return 0 if layer.blob == layer.diff_id else layer.tar_size
