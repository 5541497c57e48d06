"""Snapshots: made, listed, deleted, restored."""

from __future__ import annotations

import time
from pathlib import Path

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.api.volume.v1 import snapshot_pb2 as pb
from scow.contract.errors import NameInUse, SnapshotNotFound, VolumeInUse, VolumeNotLocal
from scow.core import labels as object_labels
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.core.times import now_ns, to_proto
from scow.volume.directories import Directories
from scow.volume.peers.container import Hold
from scow.volume.quotas.quotas import Quotas
from scow.volume.snapshots.folders import SnapshotFolders
from scow.volume.snapshots.replaced_content import ReplacedContent
from scow.volume.snapshots.store import Snapshot, SnapshotStore
from scow.volume.staging import TREE, Staging
from scow.volume.store import Volume
from scow.volume.use_lock import UseLock
from scow.volume.volumes import Volumes, check_name


class Snapshots:
    """The snapshots of all volumes."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        volumes: Volumes,
        directories: Directories,
        folders: SnapshotFolders,
        staging: Staging,
        use_lock: UseLock,
        former: ReplacedContent,
        quotas: Quotas,
    ) -> None:
        self._store = store
        self._rows = SnapshotStore(store)
        self._journal = journal
        self._volumes = volumes
        self._directories = directories
        self._folders = folders
        self._staging = staging
        self._use_lock = use_lock
        self._former = former
        self._quotas = quotas

    def local(self, name: str) -> Volume:
        """Return a volume whose data are in a folder of this service.

        Raises:
            VolumeNotFound: There is none.
            VolumeNotLocal: Its data are elsewhere.
        """
        volume = self._volumes.known(name)
        if self._volumes.folder(volume) is None:
            raise VolumeNotLocal(
                f"the data of volume {name} are not in a folder of the engine's own",
                what="volume",
                which=name,
                do="copy them with a container that has it mounted",
            )
        return volume

    def known(self, volume: str, name: str) -> Snapshot:
        """Return a snapshot.

        Raises:
            SnapshotNotFound: The volume has none of this name.
        """
        found = self._rows.get(self._volumes.known(volume).name, name)
        if found is None:
            raise SnapshotNotFound(
                f"volume {volume} has no snapshot {name}",
                what="snapshot",
                which=f"{volume}@{name}",
                do=f"see 'scow volume snapshot ls {volume}'",
            )
        return found

    def folder_of(self, volume: str, name: str) -> Path:
        """Return where a snapshot is, or without a name what the volume has now.

        Raises:
            VolumeNotFound, VolumeNotLocal, SnapshotNotFound: As `local` and `known`.
        """
        found = self.local(volume).name
        if not name:
            return self._directories.data(found)
        return self._folders.path(found, self.known(found, name).name)

    async def create(self, request: pb.CreateSnapshotRequest) -> pb.CreateSnapshotResponse:
        """Copy what a volume has now.

        Raises:
            NameInUse: The volume has a snapshot of this name.
            Aborted: The volume changes too quickly, or containers were not held until the end.
        """
        volume = self.local(request.volume).name
        name = request.name or self._free_name(volume)
        self._check(volume, name, dict(request.labels))
        async with self._staging.place() as place:
            async with self._use_lock.while_read(volume, freeze=request.freeze) as hold:
                copied = await self._staging.copy(self._directories.data(volume), place)
                hold.check()
            await self._staging.sync(place)
            self._check(self.local(volume).name, name, {})
            snapshot = Snapshot(
                volume=volume,
                name=name,
                created_ns=now_ns(),
                labels=dict(request.labels),
                size=copied.size,
                shared=copied.shared and copied.size > 0,
                frozen=bool(hold.frozen),
            )
            self._folders.keep(place, volume, name)
            response = pb.CreateSnapshotResponse(snapshot=message(snapshot))
            with self._store.transaction() as tx:
                self._rows.insert(tx, snapshot)
                self._journal.append(tx, "volume", volume, "snapshot", {"snapshot": name})
                remember(tx, response)
        return response

    def _free_name(self, volume: str) -> str:
        name = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        taken = {snapshot.name for snapshot in self._rows.all(volume)}
        if name not in taken:
            return name
        return next(n for n in (f"{name}-{i}" for i in range(2, len(taken) + 3)) if n not in taken)

    def _check(self, volume: str, name: str, labels: dict[str, str]) -> None:
        check_name("snapshot", name)
        object_labels.check("labels", labels)
        if self._rows.get(volume, name) is not None:
            raise NameInUse(
                f"volume {volume} has a snapshot {name}",
                what="snapshot",
                which=f"{volume}@{name}",
                do="choose another name, or remove that snapshot first",
            )

    def select(self, volume: str) -> list[pb.Snapshot]:
        """Return the snapshots of a volume, or all.

        Raises:
            VolumeNotFound: There is no such volume.
        """
        if volume:
            self._volumes.known(volume)
        return [message(snapshot) for snapshot in self._rows.all(volume)]

    def remove(self, volume: str, name: str) -> None:
        """Delete a snapshot; `Directories.empty_trash` frees its space.

        Raises:
            SnapshotNotFound: There is none.
        """
        self.known(volume, name)
        with self._store.transaction() as tx:
            self._rows.delete(tx, volume, name)
            self._journal.append(tx, "volume", volume, "snapshot-destroy", {"snapshot": name})
            remember(tx, pb.RemoveSnapshotResponse())
        self._folders.discard(volume, name)

    async def restore(self, request: pb.RestoreSnapshotRequest) -> pb.RestoreSnapshotResponse:
        """Give a volume the content of a snapshot.

        Raises:
            VolumeInUse: A container with it runs, and not `force`.
        """
        volume, name = self.local(request.volume).name, request.name
        self.known(volume, name)
        if not request.force:
            async with self._use_lock.still(volume) as hold:
                _require_idle(volume, hold)
        async with self._staging.place() as place:
            await self._staging.copy(self._folders.path(volume, name), place)
            await self._staging.sync(place)
            async with (
                self._quotas.prepared(volume, place / TREE) as project,
                self._use_lock.still(volume) as hold,
            ):
                self.known(volume, name)
                if not request.force:
                    _require_idle(volume, hold)
                response = pb.RestoreSnapshotResponse(outdated=hold.running)
                self._former.replace(place, volume, hold.running)
                with self._store.transaction() as tx:
                    self._volumes.rows.set_filled(tx, volume)
                    self._quotas.adopt(tx, volume, project)
                    self._journal.append(tx, "volume", volume, "restore", {"snapshot": name})
                    remember(tx, response)
        return response

    def reconcile(self) -> list[ReconcileAction]:
        """Compare records with folders."""
        recorded = {(snapshot.volume, snapshot.name) for snapshot in self._rows.all()}
        present = self._folders.present()
        actions = []
        for volume, name in sorted(present - recorded):
            self._folders.discard(volume, name)
            actions.append(_action(volume, name, "released", "a folder without a record"))
        for volume, name in sorted(recorded - present):
            with self._store.transaction() as tx:
                self._rows.delete(tx, volume, name)
                self._journal.append(tx, "volume", volume, "snapshot-destroy", {"snapshot": name})
            actions.append(_action(volume, name, "recorded", "its folder is gone"))
        return actions


def _require_idle(volume: str, hold: Hold) -> None:
    if hold.running:
        raise VolumeInUse(
            f"{', '.join(hold.running)} runs with volume {volume}",
            what="volume",
            which=volume,
            do="stop it first, or use --force: it has the restored content when it is started again",
            owners=",".join(hold.running),
        )


def message(snapshot: Snapshot) -> pb.Snapshot:
    """Return a snapshot as the contract has it."""
    return pb.Snapshot(
        volume=snapshot.volume,
        name=snapshot.name,
        created_at=to_proto(snapshot.created_ns),
        labels=snapshot.labels,
        size=snapshot.size,
        shared=snapshot.shared,
        frozen=snapshot.frozen,
    )


def _action(volume: str, name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=f"snapshot/{volume}@{name}", action=action, detail=detail)
