"""Snapshots and clones of volumes, as a client sees them."""

from __future__ import annotations

from collections.abc import Mapping

from scow.api.volume.v1 import snapshot_pb2 as pb
from scow.api.volume.v1.volume_pb2 import Volume
from scow.client._link import request_id
from scow.client._sync.service import Service

_Snapshots = list[pb.Snapshot]
_Owners = list[str]


class Snapshots:
    """Copies of volumes: snapshots, which never change, and clones, which are volumes of their own.

    Data are shared with the copy on btrfs and xfs, and copied elsewhere.

    Example::

        before = client.snapshots.create("data", freeze=True)
        ...
        client.snapshots.restore("data", before.name)
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def create(
        self,
        volume: str,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        freeze: bool = False,
        timeout: float | None = None,
    ) -> pb.Snapshot:
        """Copy what a volume has now.

        Args:
            volume: Its name.
            name: Of the snapshot; empty: the time.
            labels: Free keys and values.
            freeze: Freeze the containers that run with the volume until the copy is whole.
            timeout: Seconds.

        Raises:
            VolumeNotFound: No such volume.
            VolumeNotLocal: Its data are not in a folder of the engine's own.
            InvalidName: A name with characters that are not allowed.
            NameInUse: The volume has a snapshot of this name.
            Aborted: The volume changes too quickly to be read.
            DiskFull: No space is left.

        Example::

            snapshot = client.snapshots.create("data", "before")
        """
        request = pb.CreateSnapshotRequest(
            request_id=request_id(), volume=volume, name=name, labels=labels, freeze=freeze
        )
        response = self._service.call(
            "SnapshotService/CreateSnapshot", request, pb.CreateSnapshotResponse, timeout
        )
        return response.snapshot

    def list(self, volume: str = "", *, timeout: float | None = None) -> _Snapshots:
        """Describe the snapshots of a volume, or of all, from the oldest to the newest.

        Raises:
            VolumeNotFound: No such volume.

        Example::

            for snapshot in client.snapshots.list("data"):
                print(snapshot.name, snapshot.size)
        """
        snapshots: _Snapshots = []
        request = pb.ListSnapshotsRequest(volume=volume)
        while True:
            response = self._service.call(
                "SnapshotService/ListSnapshots", request, pb.ListSnapshotsResponse, timeout
            )
            snapshots.extend(response.snapshots)
            if not response.next_page_token:
                return snapshots
            request.page_token = response.next_page_token

    def remove(self, volume: str, name: str, *, timeout: float | None = None) -> None:
        """Delete a snapshot.

        Raises:
            SnapshotNotFound: The volume has no such snapshot.

        Example::

            client.snapshots.remove("data", "before")
        """
        request = pb.RemoveSnapshotRequest(request_id=request_id(), volume=volume, name=name)
        self._service.call(
            "SnapshotService/RemoveSnapshot", request, pb.RemoveSnapshotResponse, timeout
        )

    def restore(
        self, volume: str, name: str, *, force: bool = False, timeout: float | None = None
    ) -> _Owners:
        """Give a volume the content of one of its snapshots; what it had before is deleted.

        Args:
            volume: Its name.
            name: Of the snapshot.
            force: Also while containers run with the volume; these keep what it had until they have ended.
            timeout: Seconds.

        Returns:
            Who runs and keeps the former content: "container/<id>" each.

        Raises:
            SnapshotNotFound: The volume has no such snapshot.
            VolumeInUse: A container with the volume runs.
            DiskFull: No space is left.

        Example::

            client.snapshots.restore("data", "before")
        """
        request = pb.RestoreSnapshotRequest(
            request_id=request_id(), volume=volume, name=name, force=force
        )
        response = self._service.call(
            "SnapshotService/RestoreSnapshot", request, pb.RestoreSnapshotResponse, timeout
        )
        return [*response.outdated]

    def clone(
        self,
        volume: str,
        name: str = "",
        *,
        snapshot: str = "",
        labels: Mapping[str, str] | None = None,
        freeze: bool = False,
        timeout: float | None = None,
    ) -> Volume:
        """Make a volume with the content of another one, or of a snapshot of it.

        Args:
            volume: Which one.
            name: Of the new volume; empty: one is made up.
            snapshot: Of the volume; empty means what the volume has now.
            labels: Of the new volume.
            freeze: Freeze the containers that run with the volume until the copy is whole.
            timeout: Seconds.

        Raises:
            VolumeNotFound: No such volume.
            SnapshotNotFound: The volume has no such snapshot.
            NameInUse: There is a volume of the new name.
            Aborted: The volume changes too quickly to be read.
            DiskFull: No space is left.

        Example::

            volume = client.snapshots.clone("data", "data-test", snapshot="before")
        """
        request = pb.CloneRequest(
            request_id=request_id(),
            volume=volume,
            snapshot=snapshot,
            name=name,
            labels=labels,
            freeze=freeze,
        )
        response = self._service.call("SnapshotService/Clone", request, pb.CloneResponse, timeout)
        return response.volume
