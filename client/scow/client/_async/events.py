"""Events of all services, as one stream."""

from __future__ import annotations

import heapq
import importlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from google.protobuf.timestamp_pb2 import Timestamp

from scow.client._aio import Merge
from scow.client._async.stream import AsyncStream
from scow.client._options import Filters, filters_of
from scow.client._results import EngineEvent
from scow.client._watch import parse_cursor, resume_watch

if TYPE_CHECKING:
    from scow.api.container.v1.container_pb2 import WatchResponse
    from scow.client._async.service import AsyncService

# The build service would be started, and kept from ending, by somebody who watches it.
SERVICES = ("container", "image", "network", "volume")


class AsyncEvents:
    """Events as they happen, and before them those that are asked for, in the order of their times.

    Args:
        service: Gives a service by its name.
        services: Whose events; None means all but those of builds.
        since: Also those that happened from this time on.
        until: End at this time.
        cursor: Go on from where another stream was: its `cursor`.
        filters: As of `watch`.
        timeout: Seconds for all of it.

    Attributes:
        cursor: Where the stream is, for another one to go on from.
    """

    def __init__(
        self,
        service: Callable[[str], AsyncService],
        services: Iterable[str] | None,
        *,
        since: Timestamp | None,
        until: Timestamp | None,
        cursor: str,
        filters: Filters | None,
        timeout: float | None,
    ) -> None:
        self._places = parse_cursor(cursor)
        names = list(services or SERVICES)
        self._streams = {
            name: _watch(service(name), self._places.get(name, 0), since, until, filters, timeout)
            for name in names
        }
        self._past = since is not None
        self._merge: Merge[WatchResponse] | None = None
        # Services of which not all that was there before has come yet.
        self._behind = set(names)
        self._open = len(names)
        self._early: list[tuple[int, str, int, EngineEvent]] = []
        self._ready: deque[EngineEvent] = deque()

    @property
    def cursor(self) -> str:
        """Where the stream is."""
        return ",".join(f"{name}:{place}" for name, place in sorted(self._places.items()))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EngineEvent:
        while not self._ready:
            if not self._open:
                raise StopAsyncIteration
            await self._receive()
        found = self._ready.popleft()
        if found.event is not None:
            self._places[found.service] = found.event.revision + 1
        elif found.compacted is not None:
            self._places[found.service] = found.compacted.oldest_revision
        return found

    async def _receive(self) -> None:
        if self._merge is None:
            self._merge = Merge(self._streams)
        name, response = await self._merge.receive()
        self._take(name, response)

    def _take(self, name: str, response: WatchResponse | None) -> None:
        kind = response.WhichOneof("message") if response is not None else None
        if response is None:
            self._open -= 1
            self._behind.discard(name)
        elif kind == "position":
            self._behind.discard(name)
            # What waits here for its turn sets the place when it is given.
            if not any(each[1] == name for each in self._early):
                self._places.setdefault(name, response.position)
        elif kind == "compacted":
            self._ready.append(EngineEvent(name, None, response.compacted))
        elif kind == "event":
            event = response.event
            found = EngineEvent(name, event, None)
            if self._behind:
                heapq.heappush(
                    self._early, (event.time.ToNanoseconds(), name, event.revision, found)
                )
            else:
                self._ready.append(found)
        if not self._behind:
            while self._early:
                self._ready.append(heapq.heappop(self._early)[-1])

    async def close(self) -> None:
        """End the calls; without effect on those that have ended."""
        for stream in self._streams.values():
            await stream.close()
        if self._merge is not None:
            await self._merge.close()

    async def __aenter__(self) -> Self:
        """Connect: what happens from here on is in the stream."""
        while self._behind and not self._past:
            await self._receive()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _watch(
    service: AsyncService,
    place: int,
    since: Timestamp | None,
    until: Timestamp | None,
    filters: Filters | None,
    timeout: float | None,
) -> AsyncStream[WatchResponse]:
    # All services have the same messages; each has its own classes.
    messages = importlib.import_module(f"scow.api.{service.name}.v1.{service.name}_pb2")
    request = messages.WatchRequest(
        from_revision=place,
        filters=filters_of(filters),
        since=None if place else since,
        until=until,
        positions=True,
    )
    return service.stream(
        "Watch",
        request,
        messages.WatchResponse,
        timeout,
        lambda last: resume_watch(request, last),
    )
