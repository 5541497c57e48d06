"""What the image service keeps on the disk, as a client sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scow.api.image.v1 import store_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._link import request_id
from scow.client._options import Filters, filters_of
from scow.contract.errors import DataLoss

_Leases = list[pb.Lease]


class AsyncStore:
    """Images, layers, blobs and snapshots on the disk: how much, what may go, and whether all is right.

    Example::

        done = await client.store.prune()
        print(done.deleted, done.space_reclaimed)
    """

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def info(self, *, timeout: float | None = None) -> pb.InfoResponse:
        """Tell how images are stored, and which mirrors and insecure registries are configured.

        Example::

            print((await client.store.info()).driver)  # "erofs"
        """
        return await self._service.call(
            "StoreService/Info", pb.InfoRequest(), pb.InfoResponse, timeout
        )

    async def usage(self, *, timeout: float | None = None) -> pb.DiskUsageResponse:
        """Count what images, layers, blobs and snapshots take, in bytes.

        Example::

            print((await client.store.usage()).images_reclaimable)
        """
        request = pb.DiskUsageRequest()
        return await self._service.call(
            "StoreService/DiskUsage", request, pb.DiskUsageResponse, timeout
        )

    async def prune(
        self, *, filters: Filters | None = None, timeout: float | None = None
    ) -> pb.PruneResponse:
        """Remove images that nothing uses: those without a name, or all unused ones.

        Args:
            filters: "dangling" ("false": all unused ones), "until" (a time, or a duration back from now), "label",
                "label!".
            timeout: Seconds.

        Raises:
            InvalidFilter: An unknown key, or a value that it does not take.

        Example::

            await client.store.prune(filters={"dangling": "false", "until": "24h"})
        """
        request = pb.PruneRequest(request_id=request_id(), filters=filters_of(filters))
        return await self._service.call("StoreService/Prune", request, pb.PruneResponse, timeout)

    async def collect(self, *, timeout: float | None = None) -> pb.CollectResponse:
        """Delete what nothing holds, and unused images when the disk is fuller than the high watermark.

        Example::

            for action in (await client.store.collect()).actions:
                print(action.object, action.action)
        """
        request = pb.CollectRequest(request_id=request_id())
        return await self._service.call(
            "StoreService/Collect", request, pb.CollectResponse, timeout
        )

    async def pin(self, image: str, *, timeout: float | None = None) -> None:
        """Keep an image from the watermark policy and from `prune`.

        Raises:
            ImageNotFound: No such image.

        Example::

            await client.store.pin("nginx")
        """
        await self._set_pinned(image, True, timeout)

    async def unpin(self, image: str, *, timeout: float | None = None) -> None:
        """Let a pinned image go again; errors are those of `pin`.

        Example::

            await client.store.unpin("nginx")
        """
        await self._set_pinned(image, False, timeout)

    async def _set_pinned(self, image: str, pinned: bool, timeout: float | None) -> None:
        request = pb.SetPinnedRequest(request_id=request_id(), image=image, pinned=pinned)
        await self._service.call("StoreService/SetPinned", request, pb.SetPinnedResponse, timeout)

    async def create_lease(
        self,
        content: Iterable[str],
        *,
        ttl: int = 0,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> pb.Lease:
        """Keep images, or blobs by digest, from being collected until a time.

        Args:
            content: Names of images, or digests, also of what is not here yet.
            ttl: Seconds; 0 means a day.
            labels: Free keys and values.
            timeout: Seconds for the call.

        Raises:
            ImageNotFound: A name is no image's.

        Example::

            lease = await client.store.create_lease(["nginx"], ttl=3600)
        """
        request = pb.CreateLeaseRequest(
            request_id=request_id(), content=content, ttl_seconds=ttl, labels=labels
        )
        response = await self._service.call(
            "StoreService/CreateLease", request, pb.CreateLeaseResponse, timeout
        )
        return response.lease

    async def renew_lease(
        self,
        lease: str,
        *,
        ttl: int = 0,
        content: Iterable[str] = (),
        timeout: float | None = None,
    ) -> pb.Lease:
        """Give a lease a new end, seconds from now on (0: a day), and further content.

        Raises:
            LeaseNotFound: It has expired.

        Example::

            await client.store.renew_lease(lease.id, ttl=3600)
        """
        request = pb.RenewLeaseRequest(
            request_id=request_id(), id=lease, ttl_seconds=ttl, content=content
        )
        response = await self._service.call(
            "StoreService/RenewLease", request, pb.RenewLeaseResponse, timeout
        )
        return response.lease

    async def delete_lease(self, lease: str, *, timeout: float | None = None) -> None:
        """End a lease; an unknown one is not an error.

        Example::

            await client.store.delete_lease(lease.id)
        """
        request = pb.DeleteLeaseRequest(request_id=request_id(), id=lease)
        await self._service.call(
            "StoreService/DeleteLease", request, pb.DeleteLeaseResponse, timeout
        )

    async def leases(self, *, timeout: float | None = None) -> _Leases:
        """List the leases that have not expired.

        Example::

            for lease in await client.store.leases():
                print(lease.id, lease.expires_at.ToDatetime())
        """
        request = pb.ListLeasesRequest()
        response = await self._service.call(
            "StoreService/ListLeases", request, pb.ListLeasesResponse, timeout
        )
        return [*response.leases]

    def check_progress(
        self, images: Iterable[str] = (), *, repair: bool = False, timeout: float | None = None
    ) -> AsyncStream[pb.CheckResponse]:
        """Read everything again and compare it with its digests and records; tell progress, findings, the result.

        Args:
            images: Names of images to be checked; none means everything.
            repair: Put aside and make anew what is wrong.
            timeout: Seconds for all of it.

        Raises:
            ImageNotFound: No such image.
            DiskFull: There is no room to unpack a layer for the comparison.

        Example::

            async with client.store.check_progress() as messages:
                async for message in messages:
                    print(message.progress.current, message.progress.total)
        """
        request = pb.CheckRequest(images=images, repair=repair)
        return self._service.stream(
            "StoreService/Check", request, pb.CheckResponse, timeout, lambda _: request
        )

    async def check(
        self, images: Iterable[str] = (), *, repair: bool = False, timeout: float | None = None
    ) -> tuple[list[pb.CheckFinding], pb.CheckResult]:
        """Check the store and return what was found; arguments and errors are those of `check_progress`.

        Example::

            findings, result = await client.store.check(repair=True)
            print(result.faults - result.repaired, "faults are left")
        """
        findings = []
        async with self.check_progress(images, repair=repair, timeout=timeout) as messages:
            async for message in messages:
                kind = message.WhichOneof("message")
                if kind == "finding":
                    findings.append(message.finding)
                elif kind == "result":
                    return findings, message.result
        raise DataLoss("the check ended without a result", what="check", do="check again")
