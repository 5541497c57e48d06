"""The servicer of limits: a wire shell."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.container.v1 import container_pb2
from scow.api.container.v1 import limits_pb2 as pb
from scow.api.container.v1 import limits_pb2_grpc as pb_grpc
from scow.container.limits.update import Updates
from scow.container.shared import Shared
from scow.core.requests import Requests
from scow.core.tasks import completed

Context = grpc.aio.ServicerContext[Any, Any]


class LimitsServicer(pb_grpc.LimitsServiceServicer):
    """Serves scow.api.container.v1.LimitsService."""

    def __init__(self, shared: Shared, requests: Requests) -> None:
        self._containers = shared.containers
        self._updates = Updates(shared)
        self._requests = requests

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateResponse:
        """Change limits and the restart policy of a container."""

        async def update() -> pb.UpdateResponse:
            entry = self._containers.find(request.container)
            return await completed(self._updates.update(entry, request, _response))

        return await self._requests.once("Update", request, pb.UpdateResponse, update)


def _response(container: container_pb2.Container, warnings: list[str]) -> pb.UpdateResponse:
    return pb.UpdateResponse(container=container, warnings=warnings)
