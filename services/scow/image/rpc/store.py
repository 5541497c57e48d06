"""The servicer of the store: a wire shell around usage, pruning, collection, leases and checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from scow.api.image.v1 import store_pb2 as pb
from scow.api.image.v1 import store_pb2_grpc as pb_grpc
from scow.contract.errors import InvalidArgument
from scow.core.requests import Requests
from scow.image.catalog.images import Images
from scow.image.content.digests import is_digest
from scow.image.gc.collector import Collector
from scow.image.gc.leases import KeptLeases
from scow.image.gc.prune import Pruner
from scow.image.gc.usage import Usage
from scow.image.gc.watermarks import Watermarks, together
from scow.image.integrity.check import Checker

Context = grpc.aio.ServicerContext[Any, Any]


class StoreServicer(pb_grpc.StoreServiceServicer):
    """Serves scow.api.image.v1.StoreService."""

    def __init__(
        self,
        images: Images,
        usage: Usage,
        pruner: Pruner,
        collector: Collector,
        watermarks: Watermarks,
        leases: KeptLeases,
        checker: Checker,
        info: Callable[[], pb.InfoResponse],
        requests: Requests,
    ) -> None:
        self._images = images
        self._usage = usage
        self._pruner = pruner
        self._collector = collector
        self._watermarks = watermarks
        self._leases = leases
        self._checker = checker
        self._info = info
        self._requests = requests

    async def Info(self, request: pb.InfoRequest, context: Context) -> pb.InfoResponse:
        """Tell how images are stored."""
        return await asyncio.to_thread(self._info)

    async def DiskUsage(
        self, request: pb.DiskUsageRequest, context: Context
    ) -> pb.DiskUsageResponse:
        """Count what everything takes."""
        return await self._usage.count()

    async def Prune(self, request: pb.PruneRequest, context: Context) -> pb.PruneResponse:
        """Remove unused images."""

        async def prune() -> pb.PruneResponse:
            return await self._pruner.prune(request.filters)

        return await self._requests.once("Prune", request, pb.PruneResponse, prune)

    async def Collect(self, request: pb.CollectRequest, context: Context) -> pb.CollectResponse:
        """Delete what nothing holds, and unused images when the disk is too full."""

        async def collect() -> pb.CollectResponse:
            gone = await self._collector.sweep()
            actions, size = together(gone, await self._watermarks.collect())
            return pb.CollectResponse(actions=actions, space_reclaimed=size)

        return await self._requests.once("Collect", request, pb.CollectResponse, collect)

    async def SetPinned(
        self, request: pb.SetPinnedRequest, context: Context
    ) -> pb.SetPinnedResponse:
        """Pin an image, or let it go."""

        async def pin() -> pb.SetPinnedResponse:
            self._images.pin(request.image, request.pinned)
            return pb.SetPinnedResponse()

        return await self._requests.once("SetPinned", request, pb.SetPinnedResponse, pin)

    async def CreateLease(
        self, request: pb.CreateLeaseRequest, context: Context
    ) -> pb.CreateLeaseResponse:
        """Keep content until a time."""

        async def create() -> pb.Lease:
            digests = self._digests(request.content)
            seconds = _seconds(request.ttl_seconds)
            return self._leases.create(digests, seconds, request.labels)

        return await self._requests.once(
            "CreateLease",
            request,
            pb.CreateLeaseResponse,
            create,
            lambda lease: pb.CreateLeaseResponse(lease=lease),
        )

    async def RenewLease(
        self, request: pb.RenewLeaseRequest, context: Context
    ) -> pb.RenewLeaseResponse:
        """Give a lease a new end."""

        async def renew() -> pb.Lease:
            digests = self._digests(request.content)
            seconds = _seconds(request.ttl_seconds)
            return self._leases.renew(request.id, digests, seconds)

        return await self._requests.once(
            "RenewLease",
            request,
            pb.RenewLeaseResponse,
            renew,
            lambda lease: pb.RenewLeaseResponse(lease=lease),
        )

    async def DeleteLease(
        self, request: pb.DeleteLeaseRequest, context: Context
    ) -> pb.DeleteLeaseResponse:
        """End a lease."""

        async def delete() -> None:
            self._leases.delete(request.id)

        return await self._requests.once("DeleteLease", request, pb.DeleteLeaseResponse, delete)

    async def ListLeases(
        self, request: pb.ListLeasesRequest, context: Context
    ) -> pb.ListLeasesResponse:
        """List the leases that have not ended."""
        return pb.ListLeasesResponse(leases=self._leases.all())

    async def Check(
        self, request: pb.CheckRequest, context: Context
    ) -> AsyncIterator[pb.CheckResponse]:
        """Read everything again, and make anew what is wrong."""
        async for message in self._checker.check(request.images, request.repair):
            yield message

    def _digests(self, content: Iterable[str]) -> list[str]:
        found: list[str] = []
        for name in content:
            found += [name] if is_digest(name) else self._images.content(name)
        return found


def _seconds(ttl: int) -> int:
    if ttl < 0:
        raise InvalidArgument(
            f"a lease of {ttl} seconds",
            what="ttl_seconds",
            which=str(ttl),
            do="give seconds from now on, or 0 for a day",
        )
    return ttl
