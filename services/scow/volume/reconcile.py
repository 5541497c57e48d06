"""Records compared with folders and owners, when the service starts and on a timer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.owners import unknown_owners
from scow.core.peers import Peers
from scow.volume.directories import Directories
from scow.volume.holds import Holds
from scow.volume.quotas.quotas import Quotas
from scow.volume.snapshots.replaced_content import ReplacedContent
from scow.volume.snapshots.snapshots import Snapshots
from scow.volume.staging import Staging
from scow.volume.volumes import Volumes


@dataclass(frozen=True)
class Reconciliation:
    """Releases what is orphaned, and makes what is missing."""

    peers: Peers
    directories: Directories
    volumes: Volumes
    holds: Holds
    snapshots: Snapshots
    former: ReplacedContent
    staging: Staging
    quotas: Quotas

    async def run(self) -> list[ReconcileAction]:
        """Compare, and tell what was done."""
        actions = [
            ReconcileAction(object=f"staging/{name}", action="released", detail="half made")
            for name in self.staging.remove_leftovers()
        ]
        actions += self.snapshots.reconcile()
        actions += await self.former.reconcile()
        gone = await unknown_owners(self.peers, self.holds.owners())
        actions += await self.holds.reconcile(gone)
        actions += await self.volumes.reconcile()
        actions += await self.quotas.reconcile()
        await asyncio.to_thread(self.directories.empty_trash)
        return actions

    async def release_gone(self, volume: str) -> None:
        """Let those go who hold a volume and are gone: what their plugin could not do then may be possible now."""
        gone = await unknown_owners(self.peers, self.volumes.rows.owners(volume))
        if gone:
            await self.holds.reconcile(gone)
