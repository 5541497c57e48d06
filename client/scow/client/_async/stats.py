"""What containers use, as a client sees it."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.container.v1 import stats_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream


class AsyncStats:
    """The part of AsyncContainers that measures."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def stats(
        self,
        *containers: str,
        all: bool = False,  # noqa: A002  the natural word
        timeout: float | None = None,
    ) -> Sequence[pb.ContainerStats]:
        """Measure containers once: processor, memory, processes, devices and networks.

        Processor time is in nanoseconds, memory in bytes; `cpu_percent` is over a quarter of a second.

        Args:
            containers: Which ones; none means all that run.
            all: Also those that do not run, which have no figures.
            timeout: Seconds.

        Raises:
            ContainerNotFound: One that is named is not there.

        Example::

            for stats in await client.containers.stats():
                print(stats.name, stats.cpu_percent, stats.memory_usage)
        """
        found: list[pb.ContainerStats] = []
        request = pb.StatsRequest(containers=containers, all=all, once=True)
        async with self._measured(request, timeout) as messages:
            async for message in messages:
                found += message.containers
        return found

    def stats_stream(
        self,
        *containers: str,
        all: bool = False,  # noqa: A002
        interval: float = 1.0,
        timeout: float | None = None,
    ) -> AsyncStream[pb.StatsResponse]:
        """Measure containers again and again; a message has all of them.

        Args:
            containers: Which ones; none means all that run, also those that are started later.
            all: Also those that do not run.
            interval: Seconds between two messages, 0.1 at least.
            timeout: Seconds for all of it.

        Raises:
            ContainerNotFound: One that is named is not there.
            InvalidArgument: Too short an interval.

        Example::

            async with client.containers.stats_stream("web") as messages:
                async for message in messages:
                    print(message.containers[0].pids)
        """
        milliseconds = max(1, round(interval * 1000))
        request = pb.StatsRequest(containers=containers, all=all, interval_ms=milliseconds)
        return self._measured(request, timeout)

    def _measured(
        self, request: pb.StatsRequest, timeout: float | None
    ) -> AsyncStream[pb.StatsResponse]:
        return self._service.stream(
            "StatsService/Stats", request, pb.StatsResponse, timeout, lambda _: request
        )
