"""Containers that others need to stay as they are for a moment: while a volume that they use is copied or replaced."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from scow.api.container.v1 import container_pb2 as pb
from scow.container.lifecycle.kill import Signals
from scow.container.shared import Shared


class Holds:
    """Holds containers."""

    def __init__(self, shared: Shared, signals: Signals) -> None:
        self._shared = shared
        self._signals = signals

    @contextlib.asynccontextmanager
    async def hold(self, request: pb.HoldRequest) -> AsyncIterator[pb.HoldResponse]:
        """Hold the locks of containers for the length of the block, and freeze them where that is asked for.

        When this service dies meanwhile, `recovery` thaws.
        """
        wanted = set(request.owners)
        response = pb.HoldResponse()
        async with contextlib.AsyncExitStack() as stack:
            # Always in the same order: two holds must not wait for each other.
            for entry in sorted(self._shared.containers.all(), key=lambda entry: entry.id):
                if entry.owner not in wanted:
                    continue
                await stack.enter_async_context(entry.lock)
                if entry.gone or not entry.alive:
                    continue
                running = entry.described.status == pb.STATUS_RUNNING
                if request.freeze and running:
                    await stack.enter_async_context(self._signals.frozen(entry))
                    running = entry.described.status == pb.STATUS_PAUSED
                    if running:
                        response.frozen.append(entry.owner)
                if entry.alive:
                    response.running.append(entry.owner)
            yield response
