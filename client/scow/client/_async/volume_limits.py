"""Limits of volumes, as a client sees them."""

from __future__ import annotations

from scow.api.volume.v1 import quota_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._link import request_id


class AsyncVolumeLimits:
    """The part of `AsyncVolumes` that has to do with limits."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def limit(
        self,
        name: str,
        *,
        size: int | None = None,
        inodes: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Limit what a volume takes, also while containers use it.

        Args:
            name: Its name.
            size: Bytes; 0 means no limit, None as it was.
            inodes: Files, directories and all else; 0 means no limit, None as it was.
            timeout: Seconds.

        Raises:
            VolumeNotFound: No such volume.
            VolumeNotLocal: Its data are not in a folder of the engine's own.
            QuotaUnsupported: The file system does not enforce limits of projects.

        Example::

            await client.volumes.limit("data", size=1 << 30, inodes=100_000)
        """
        request = pb.SetLimitsRequest(
            request_id=request_id(), volume=name, size=size, inodes=inodes
        )
        await self._service.call("QuotaService/SetLimits", request, pb.SetLimitsResponse, timeout)

    async def limits(self, name: str, *, timeout: float | None = None) -> pb.Limits | None:
        """Return the limits of a volume, and what it takes; None where it was never limited.

        Raises:
            VolumeNotFound: No such volume.

        Example::

            print(await client.volumes.limits("data"))
        """
        response = await self._service.call(
            "QuotaService/GetLimits",
            pb.GetLimitsRequest(volume=name),
            pb.GetLimitsResponse,
            timeout,
        )
        return response.limits if response.HasField("limits") else None
