"""What volumes had before they were restored, for as long as containers that ran then still have it mounted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.store import Store
from scow.core.times import now_ns
from scow.volume.peers.container import Containers
from scow.volume.snapshots.folders import SnapshotFolders
from scow.volume.snapshots.store import Former, SnapshotStore
from scow.volume.staging import TREE

_DETAIL = "what it had before it was restored is not used any more"


class ReplacedContent:
    """Keeps and releases former content."""

    def __init__(self, store: Store, folders: SnapshotFolders, containers: Containers) -> None:
        self._store = store
        self._rows = SnapshotStore(store)
        self._folders = folders
        self._containers = containers

    def replace(self, place: Path, volume: str, owners: Sequence[str]) -> None:
        """Give a volume what a place has; what it had stays for owners that run, otherwise it is in the place.

        The new content goes where the former content is to be kept, and then changes places with it: so whatever is
        there is kept until these owners have ended, whenever this process is killed.
        """
        content = place / TREE
        if owners:
            former = Former(os.urandom(8).hex(), volume, now_ns(), tuple(owners))
            with self._store.transaction() as tx:
                self._rows.keep(tx, former)
            content = self._folders.keep_former(content, former.folder)
        self._folders.exchange(content, volume)

    async def reconcile(self) -> list[ReconcileAction]:
        """Delete what nobody uses any more."""
        unused = [former for former in self._rows.former() if not await self._is_used(former)]
        with self._store.transaction() as tx:
            self._rows.drop(tx, [former.folder for former in unused])
        known = {former.folder for former in self._rows.former()}
        for folder in self._folders.present_former() - known:
            self._folders.discard_former(folder)
        return [
            ReconcileAction(object=f"volume/{former.volume}", action="released", detail=_DETAIL)
            for former in unused
        ]

    async def _is_used(self, former: Former) -> bool:
        for owner in former.owners:
            if await self._containers.runs_since(owner, former.time_ns):
                return True
        return False
