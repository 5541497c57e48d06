"""What keeps the store in order, put together: usage, pruning, collection, leases, checks and repairs."""

from __future__ import annotations

from functools import partial

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.image.catalog.info import info
from scow.image.gc.leases import KeptLeases
from scow.image.gc.prune import Pruner
from scow.image.gc.usage import Usage
from scow.image.gc.watermarks import Watermarks
from scow.image.integrity.check import Checker
from scow.image.integrity.quarantine import Quarantine
from scow.image.integrity.repair import Repairer
from scow.image.rpc.store import StoreServicer
from scow.image.wiring import Parts


class Maintenance:
    """Keeps the store in order.

    Args:
        parts: The service's.

    Raises:
        InvalidConfig: The watermarks contradict each other.
    """

    def __init__(self, parts: Parts) -> None:
        settings, rows, blobs = parts.settings, parts.rows, parts.blobs
        puller = parts.puller
        self._quarantine = Quarantine(parts.base, rows, settings.quarantine_keep_seconds)
        self._watermarks = Watermarks(parts.base, settings, rows, parts.collector)
        repairer = Repairer(rows, blobs, self._quarantine, puller.fetch_blob, puller.fetch_document)
        self.servicer = StoreServicer(
            parts.images,
            Usage(parts.base, rows, parts.snapshots),
            Pruner(parts.images, parts.collector),
            parts.collector,
            self._watermarks,
            KeptLeases(rows),
            Checker(rows, blobs, parts.layers, parts.images, parts.leases, repairer),
            partial(info, settings, parts.base, parts.layers.drivers),
            parts.context.requests,
        )

    async def reconcile(self) -> list[ReconcileAction]:
        """Clean the quarantine, and remove unused images when the disk is too full."""
        actions, _ = await self._watermarks.collect()
        return [*await self._quarantine.clean(), *actions]
