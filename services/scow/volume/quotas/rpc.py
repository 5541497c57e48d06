"""The servicer of limits: a wire shell."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.volume.v1 import quota_pb2 as pb
from scow.api.volume.v1 import quota_pb2_grpc as pb_grpc
from scow.core.requests import Requests
from scow.volume.quotas.quotas import Quotas
from scow.volume.volumes import Volumes

Context = grpc.aio.ServicerContext[Any, Any]


class QuotaServicer(pb_grpc.QuotaServiceServicer):
    """Serves scow.api.volume.v1.QuotaService."""

    def __init__(self, quotas: Quotas, volumes: Volumes, requests: Requests) -> None:
        self._quotas = quotas
        self._volumes = volumes
        self._requests = requests

    async def SetLimits(
        self, request: pb.SetLimitsRequest, context: Context
    ) -> pb.SetLimitsResponse:
        """Limit what a volume takes."""
        return await self._requests.once(
            "SetLimits", request, pb.SetLimitsResponse, lambda: self._quotas.set(request)
        )

    async def GetLimits(
        self, request: pb.GetLimitsRequest, context: Context
    ) -> pb.GetLimitsResponse:
        """Tell the limits of a volume."""
        name = self._volumes.known(request.volume).name
        return pb.GetLimitsResponse(limits=self._quotas.describe(name))
