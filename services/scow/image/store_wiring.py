"""The parts that keep the store in order, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.server import Context
from scow.image.blobs import Blobs
from scow.image.checking import Checker
from scow.image.gc import Collector
from scow.image.images import Images
from scow.image.layers import Layers
from scow.image.leases import KeptLeases, Leases
from scow.image.pruning import Pruner
from scow.image.pull import Puller
from scow.image.quarantine import Quarantine
from scow.image.repairing import Repairer
from scow.image.snapshotting import Snapshots
from scow.image.store import ImageStore
from scow.image.store_service import StoreServicer
from scow.image.usage import Usage
from scow.image.watermarks import Watermarks


@dataclass(frozen=True)
class Parts:
    """What keeping the store in order needs of the service."""

    base: Path
    rows: ImageStore
    blobs: Blobs
    layers: Layers
    leases: Leases
    images: Images
    snapshots: Snapshots
    collector: Collector
    puller: Puller


class Keeping:
    """Usage, pruning, collection, leases and checks.

    Args:
        context: The service's.
        parts: What they need.

    Raises:
        InvalidConfig: The watermarks contradict each other.
    """

    def __init__(self, context: Context, parts: Parts) -> None:
        settings = context.config.image
        rows = parts.rows
        self._quarantine = Quarantine(parts.base, rows, settings.quarantine_keep_seconds)
        self._watermarks = Watermarks(parts.base, settings, rows, parts.collector)
        repairer = Repairer(
            rows,
            parts.blobs,
            self._quarantine,
            parts.puller.fetch_blob,
            parts.puller.fetch_document,
        )
        self.servicer = StoreServicer(
            parts.images,
            Usage(parts.base, rows, parts.snapshots),
            Pruner(parts.images, parts.collector),
            parts.collector,
            self._watermarks,
            KeptLeases(rows),
            Checker(rows, parts.blobs, parts.layers, parts.images, parts.leases, repairer),
            context.requests,
        )

    async def reconcile(self) -> list[ReconcileAction]:
        """Clean the quarantine, and remove unused images when the disk is too full."""
        actions, _ = await self._watermarks.collect()
        return [*await self._quarantine.clean(), *actions]
