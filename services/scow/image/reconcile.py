"""Reconciliation: records against folders and owners; what is orphaned goes, what is missing is made anew."""

from __future__ import annotations

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import ScowError
from scow.image.content.blobs import Blobs
from scow.image.gc.collector import Collector, Gone
from scow.image.gc.leases import Leases
from scow.image.layers.store import Layers
from scow.image.metadata.tables import ImageStore
from scow.image.snapshots.owners import Snapshots


class Reconciler:
    """Compares records with reality."""

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        layers: Layers,
        leases: Leases,
        snapshots: Snapshots,
        collector: Collector,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._leases = leases
        self._snapshots = snapshots
        self._collector = collector

    async def reconcile(self, gone: set[str], keep_seconds: float) -> list[ReconcileAction]:
        """Release owners that are gone and delete what has no record.

        Args:
            gone: Owners that are gone.
            keep_seconds: For which a cut download is kept.
        """
        actions = []
        for owner in sorted(gone):
            await self._snapshots.release(owner)
            actions.append(action(f"snapshot/{owner}", "released", "its owner is gone"))
        actions += collected(await self._collector.sweep())
        actions += await self._delete_strays()
        actions += await self._rebuild_layers()
        for name in self._blobs.prune_ingests(keep_seconds):
            actions.append(action(f"ingest/{name}", "released", "nobody went on with it"))
        return actions

    async def _rebuild_layers(self) -> list[ReconcileAction]:
        actions = []
        for layer, wrong in await self._layers.damaged():
            name = f"layer/{layer.diff_id}"
            try:
                with self._leases.hold([layer.diff_id, layer.blob]):
                    await self._layers.rebuild(layer)
            except ScowError as error:
                actions.append(action(name, "missing", str(error)))
            else:
                actions.append(action(name, "rebuilt", wrong))
        return actions

    async def _delete_strays(self) -> list[ReconcileAction]:
        actions = []
        for number in self._layers.strays():
            await self._layers.discard(number)
            actions.append(action(f"layer/{number}", "released", "a folder without a record"))
        actions += [
            action(f"snapshot/{number}", "released", "a folder without a record")
            for number in await self._snapshots.remove_strays()
        ]
        for digest in sorted(self._blobs.digests() - self._rows.all_blobs()):
            if digest not in self._leases:
                self._blobs.delete(digest)
                actions.append(action(f"blob/{digest}", "released", "a file without a record"))
        return actions


def collected(gone: Gone) -> list[ReconcileAction]:
    """Return what a collection did, as actions."""
    actions = [action(f"image/{image}", "released", "nothing uses it") for image in gone.images]
    actions += [action(f"layer/{x.diff_id}", "released", "no image has it") for x in gone.layers]
    return actions + [
        action(f"blob/{digest}", "released", "nothing names it") for digest, _ in gone.blobs
    ]


def action(name: str, done: str, detail: str) -> ReconcileAction:
    """Return one line of a report."""
    return ReconcileAction(object=name, action=done, detail=detail)
