"""The servicer of stats: a wire shell."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.container.v1 import stats_pb2 as pb
from scow.api.container.v1 import stats_pb2_grpc as pb_grpc
from scow.container.shared import Shared
from scow.container.stats.sampling import sample

Context = grpc.aio.ServicerContext[Any, Any]


class StatsServicer(pb_grpc.StatsServiceServicer):
    """Serves scow.api.container.v1.StatsService."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def Stats(
        self, request: pb.StatsRequest, context: Context
    ) -> AsyncIterator[pb.StatsResponse]:
        """Measure containers."""
        async with contextlib.aclosing(sample(self._shared, request)) as responses:
            async for response in responses:
                yield response
