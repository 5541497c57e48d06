"""Clones: volumes made of what another one has, or a snapshot of it."""

from __future__ import annotations

import os

from scow.api.volume.v1 import snapshot_pb2 as pb
from scow.core.requests import remember
from scow.volume.directories import Directories
from scow.volume.new_volumes import NewVolumes
from scow.volume.snapshots.folders import SnapshotFolders
from scow.volume.snapshots.snapshots import Snapshots
from scow.volume.staging import Staging
from scow.volume.use_lock import UseLock


class Clones:
    """Makes clones."""

    def __init__(
        self,
        snapshots: Snapshots,
        new_volumes: NewVolumes,
        directories: Directories,
        folders: SnapshotFolders,
        staging: Staging,
        use_lock: UseLock,
    ) -> None:
        self._snapshots = snapshots
        self._new_volumes = new_volumes
        self._directories = directories
        self._folders = folders
        self._staging = staging
        self._use_lock = use_lock

    async def clone(self, request: pb.CloneRequest) -> pb.CloneResponse:
        """Make a volume with the content of another one, or of a snapshot.

        Raises:
            NameInUse: There is a volume of the new name.
            Aborted: The volume changes too quickly, or containers were not held until the end.
        """
        source = self._snapshots.local(request.volume).name
        name, labels = request.name or os.urandom(32).hex(), dict(request.labels)
        self._new_volumes.check(name, labels)
        async with self._staging.place() as place:
            if request.snapshot:
                self._snapshots.known(source, request.snapshot)
                await self._staging.copy(self._folders.path(source, request.snapshot), place)
            else:
                async with self._use_lock.while_read(source, freeze=request.freeze) as hold:
                    await self._staging.copy(self._directories.data(source), place)
                    hold.check()
            await self._staging.sync(place)
            async with self._new_volumes.added(place, name, labels) as (tx, volume):
                response = pb.CloneResponse(volume=volume)
                remember(tx, response)
        return response
