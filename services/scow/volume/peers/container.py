"""The container service, as volumes need it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc

from scow.api.container.v1 import container_pb2
from scow.contract.errors import Aborted, ContainerNotFound, ScowError, ServiceUnavailable
from scow.core.peers import Peers, translated

# For which the end of a hold is awaited; it comes without that, too.
_THAW_SECONDS = 30.0
_ALIVE = (container_pb2.STATUS_RUNNING, container_pb2.STATUS_PAUSED)


class Hold:
    """Containers that stay as they are.

    Attributes:
        running: Owners that run, or are paused.
        frozen: Those of them that were frozen for this.
    """

    def __init__(
        self, call: Any = None, response: container_pb2.HoldResponse | None = None
    ) -> None:
        self._call = call
        self.running = list(response.running) if response else []
        self.frozen = list(response.frozen) if response else []

    def check(self) -> None:
        """Check that it has lasted until now.

        Raises:
            Aborted: The container service has ended meanwhile, and so let go.
        """
        if self._call is not None and self._call.done():
            raise Aborted(
                "the containers were not held until the end: the container service has ended",
                what="service",
                which="container",
                do="try again",
            )


class Containers:
    """Containers as owners of volumes."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    @contextlib.asynccontextmanager
    async def held(self, owners: Collection[str], *, freeze: bool = False) -> AsyncIterator[Hold]:
        """Hold containers for the length of the block; with `freeze` those that run are frozen.

        The container service lets go of them when this service is killed.

        Raises:
            ServiceUnavailable: The container service cannot be asked.
        """
        if not owners:
            yield Hold()
            return
        request = container_pb2.HoldRequest(owners=sorted(owners), freeze=freeze)
        call = self._peers.container.Hold()
        try:
            with translated("container"):
                # Where the call has failed by then, reading tells why.
                with contextlib.suppress(asyncio.InvalidStateError):
                    await call.write(request)
                response = await call.read()
            if not isinstance(response, container_pb2.HoldResponse):  # the end of the stream
                raise ServiceUnavailable(
                    "the container service has ended",
                    what="service",
                    which="container",
                    do="try again",
                )
            yield Hold(call, response)
        finally:
            await _let_go(call)

    async def runs_since(self, owner: str, time_ns: int) -> bool:
        """Tell whether a container has run since a time, in nanoseconds since 1970; also where that cannot be asked."""
        request = container_pb2.GetRequest(container=owner.removeprefix("container/"))
        try:
            with translated("container"):
                response = await self._peers.container.Get(request, timeout=5)
        except ContainerNotFound:
            return False
        except ScowError:
            return True
        found = response.container
        return found.status in _ALIVE and found.started_at.ToNanoseconds() <= time_ns


async def _let_go(call: Any) -> None:
    """End a hold, and wait until the containers are thawed: whoever asked for it finds them as they were."""
    try:
        async with asyncio.timeout(_THAW_SECONDS):
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                await call.done_writing()
                await call.code()
    except TimeoutError:
        pass
    finally:
        call.cancel()
