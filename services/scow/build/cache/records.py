"""The cache: results of steps, kept until they are pruned.

A layer is held by a lease of its own at the image service, which knows the key by a label. When this service dies
between the two, the lease has no record and ends with the next reconciliation; a record whose lease is gone goes too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from scow.api.image.v1.layer_pb2 import Layer
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.build.peers.layers import LABEL, Layers
from scow.build.store import BuildStore, Record
from scow.core.times import now_ns


class Cache:
    """The cache.

    Args:
        rows: The tables.
        layers: Who keeps layers.
    """

    def __init__(self, rows: BuildStore, layers: Layers) -> None:
        self._rows = rows
        self._layers = layers
        # Keys that builds under way use.
        self.used: Counter[str] = Counter()

    @contextmanager
    def using(self, key: str) -> Iterator[None]:
        """Keep a record from being pruned for the length of the block."""
        self.used[key] += 1
        try:
            yield
        finally:
            self.used[key] -= 1
            if not self.used[key]:
                del self.used[key]

    def find(self, key: str) -> Record | None:
        """Return the result that has a key, and note its use."""
        record = self._rows.record(key)
        if record is not None:
            with self._rows.transaction() as tx:
                self._rows.use_record(tx, key, now_ns())
        return record

    async def put(self, key: str, layer: Layer | None, lease: str, type_: str, what: str) -> Record:
        """Record a result, in place of the one that had its key.

        Args:
            key: The key.
            layer: The layer, None where nothing was changed.
            lease: What keeps it; empty without a layer.
            type_: "regular", "source.local", ...
            what: For people, "RUN make".
        """
        now = now_ns()
        return await self.keep(Record(key, layer, lease, type_, what, now, now))

    async def keep(self, record: Record) -> Record:
        """Record a result, in place of the one that had its key."""
        key, lease = record.key, record.lease
        before = self._rows.record(key)
        with self._rows.transaction() as tx:
            self._rows.put_record(tx, record)
        is_shared = (
            self.used[key] > 1
        )  # another build may need the old layer: reconciling ends its lease later
        if before is not None and before.lease and before.lease != lease and not is_shared:
            await self._layers.release(before.lease)
        return record

    async def remove(self, record: Record) -> None:
        """Forget a result; its layer goes with the image service's next collection."""
        with self._rows.transaction() as tx:
            self._rows.delete_record(tx, record.key)
        if record.lease:
            await self._layers.release(record.lease)

    async def reconcile(self) -> list[ReconcileAction]:
        """Compare records with leases."""
        before = self._rows.records()
        leases = await self._layers.leases()
        actions = []
        for record in before:
            if record.lease and record.lease not in leases:
                with self._rows.transaction() as tx:
                    self._rows.delete_record(tx, record.key)
                actions.append(_action(f"cache/{record.key[:12]}", "its layer is gone"))
        known = {record.lease for record in self._rows.records()}
        for lease_id, lease in leases.items():
            if lease_id not in known and not self._is_new(lease.labels):
                await self._layers.release(lease_id)
                actions.append(_action(f"lease/{lease_id}", "no record of the cache has it"))
        return actions

    def _is_new(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a build under way has just made it."""
        return labels.get(LABEL, "") in self.used


def _action(name: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action="released", detail=detail)
