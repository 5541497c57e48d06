"""The servicer: a wire shell around `Volumes` and `Holds`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.volume.v1 import volume_pb2 as pb
from scow.api.volume.v1 import volume_pb2_grpc as pb_grpc
from scow.core.journal import Journal
from scow.core.paging import message_size, page
from scow.core.requests import Requests
from scow.volume import prune as pruning
from scow.volume.directories import Directories
from scow.volume.holds import Holds
from scow.volume.reconcile import Reconciliation
from scow.volume.volumes import Volumes

Context = grpc.aio.ServicerContext[Any, Any]


class VolumeServicer(pb_grpc.VolumeServiceServicer):
    """Serves scow.api.volume.v1."""

    def __init__(
        self,
        volumes: Volumes,
        holds: Holds,
        directories: Directories,
        reconciliation: Reconciliation,
        journal: Journal,
        requests: Requests,
    ) -> None:
        self._volumes = volumes
        self._holds = holds
        self._directories = directories
        self._journal = journal
        self._requests = requests
        self._reconciliation = reconciliation

    async def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:
        """Make a volume."""
        return await self._requests.once(
            "Create",
            request,
            pb.CreateResponse,
            lambda: self._volumes.create(request),
            lambda volume: pb.CreateResponse(volume=volume),
        )

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Describe one volume."""
        volume = self._volumes.get(request.name)
        volume.uses.extend(self._holds.uses(volume.name))
        return pb.GetResponse(volume=volume)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Describe all volumes."""
        volumes = self._volumes.select(request.filters)
        items, token = page(
            volumes,
            request.page_size,
            request.page_token,
            key=lambda v: v.name,
            size=message_size,
        )
        return pb.ListResponse(volumes=items, next_page_token=token)

    async def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:
        """Delete a volume and its data."""

        async def remove() -> None:
            await self._reconciliation.release_gone(request.name)
            await self._volumes.remove(request.name, request.force)
            await self._empty_trash()

        return await self._requests.once("Remove", request, pb.RemoveResponse, remove)

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateResponse:
        """Change a volume's labels."""

        async def update() -> pb.Volume:
            return self._volumes.update(request)

        return await self._requests.once(
            "Update",
            request,
            pb.UpdateResponse,
            update,
            lambda volume: pb.UpdateResponse(volume=volume),
        )

    async def Prune(self, request: pb.PruneRequest, context: Context) -> pb.PruneResponse:
        """Remove volumes that nobody holds."""

        async def prune() -> pb.PruneResponse:
            response = await pruning.prune(self._volumes, request)
            await self._empty_trash()
            return response

        return await self._requests.once("Prune", request, pb.PruneResponse, prune)

    async def Acquire(self, request: pb.AcquireRequest, context: Context) -> pb.AcquireResponse:
        """Hold volumes for an owner."""
        return pb.AcquireResponse(mounts=await self._holds.acquire(request))

    async def Fill(self, request: pb.FillRequest, context: Context) -> pb.FillResponse:
        """Put copied content into volumes."""
        filled = await self._holds.fill(request.owner)
        await self._empty_trash()
        return pb.FillResponse(filled=filled)

    async def Activate(self, request: pb.ActivateRequest, context: Context) -> pb.ActivateResponse:
        """Make ready what an owner holds."""
        return pb.ActivateResponse(mounts=await self._holds.activate(request.owner, request.target))

    async def Extend(self, request: pb.ExtendRequest, context: Context) -> pb.ExtendResponse:
        """Add one mount to an owner's."""
        return pb.ExtendResponse(mount=await self._holds.extend(request.owner, request.mount))

    async def Withdraw(self, request: pb.WithdrawRequest, context: Context) -> pb.WithdrawResponse:
        """Take one mount of an owner's back."""
        await self._holds.withdraw(request.owner, request.target)
        return pb.WithdrawResponse()

    async def Deactivate(
        self, request: pb.DeactivateRequest, context: Context
    ) -> pb.DeactivateResponse:
        """Take back what was made ready for an owner."""
        await self._holds.deactivate(request.owner)
        return pb.DeactivateResponse()

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseResponse:
        """Let go of all that an owner holds."""
        removed = await self._holds.release(request.owner, request.remove_anonymous)
        if removed:
            await self._empty_trash()
        return pb.ReleaseResponse(removed=removed)

    async def Usage(self, request: pb.UsageRequest, context: Context) -> pb.UsageResponse:
        """Count the bytes of volumes."""
        sizes = await self._volumes.usage(request.names)
        usages = [pb.VolumeUsage(name=name, size=size) for name, size in sizes.items()]
        return pb.UsageResponse(volumes=usages)

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Context
    ) -> pb.ReconcileResponse:
        """Compare records with folders and owners now."""
        return pb.ReconcileResponse(actions=await self._reconciliation.run())

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Replay the journal, then follow it."""
        async for response in self._journal.watch(request, pb.WatchResponse):
            yield response

    async def _empty_trash(self) -> None:
        """Delete discarded data without keeping the loop."""
        await asyncio.to_thread(self._directories.empty_trash)
