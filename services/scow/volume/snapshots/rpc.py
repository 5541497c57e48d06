"""The servicer of snapshots: a wire shell."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from scow.api.volume.v1 import snapshot_pb2 as pb
from scow.api.volume.v1 import snapshot_pb2_grpc as pb_grpc
from scow.core.paging import message_size, page
from scow.core.requests import Requests
from scow.volume.directories import Directories
from scow.volume.snapshots.clones import Clones
from scow.volume.snapshots.snapshots import Snapshots

Context = grpc.aio.ServicerContext[Any, Any]


class SnapshotServicer(pb_grpc.SnapshotServiceServicer):
    """Serves scow.api.volume.v1.SnapshotService."""

    def __init__(
        self, snapshots: Snapshots, clones: Clones, directories: Directories, requests: Requests
    ) -> None:
        self._snapshots = snapshots
        self._clones = clones
        self._directories = directories
        self._requests = requests

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: Context
    ) -> pb.CreateSnapshotResponse:
        """Copy what a volume has now."""
        return await self._requests.once(
            "CreateSnapshot",
            request,
            pb.CreateSnapshotResponse,
            lambda: self._snapshots.create(request),
        )

    async def ListSnapshots(
        self, request: pb.ListSnapshotsRequest, context: Context
    ) -> pb.ListSnapshotsResponse:
        """Describe snapshots."""
        items, token = page(
            self._snapshots.select(request.volume),
            request.page_size,
            request.page_token,
            key=lambda s: f"{s.volume} {s.created_at.ToNanoseconds():020} {s.name}",
            size=message_size,
        )
        return pb.ListSnapshotsResponse(snapshots=items, next_page_token=token)

    async def RemoveSnapshot(
        self, request: pb.RemoveSnapshotRequest, context: Context
    ) -> pb.RemoveSnapshotResponse:
        """Delete a snapshot."""

        async def remove() -> pb.RemoveSnapshotResponse:
            self._snapshots.remove(request.volume, request.name)
            await asyncio.to_thread(self._directories.empty_trash)
            return pb.RemoveSnapshotResponse()

        return await self._requests.once(
            "RemoveSnapshot", request, pb.RemoveSnapshotResponse, remove
        )

    async def RestoreSnapshot(
        self, request: pb.RestoreSnapshotRequest, context: Context
    ) -> pb.RestoreSnapshotResponse:
        """Give a volume the content of a snapshot."""
        return await self._requests.once(
            "RestoreSnapshot",
            request,
            pb.RestoreSnapshotResponse,
            lambda: self._snapshots.restore(request),
        )

    async def Clone(self, request: pb.CloneRequest, context: Context) -> pb.CloneResponse:
        """Make a volume of another one."""
        return await self._requests.once(
            "Clone", request, pb.CloneResponse, lambda: self._clones.clone(request)
        )
