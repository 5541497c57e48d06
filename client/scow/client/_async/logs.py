"""The log of a container, as a client reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Self

from scow.api.container.v1.container_pb2 import LogRecords, LogsRequest, LogsResponse
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._log_place import LogPlace, single_records


class AsyncLogs:
    """An iterator over the records of a log; goes on where it was after a restart of the service.

    Closing it, leaving its context, or cancelling the task that iterates ends the call.

    Raises:
        ScowError: While iterating: what the service said.

    Example::

        async with client.containers.logs("web", follow=True) as logs:
            async for record in logs:
                print(record.stdout)
    """

    def __init__(self, service: AsyncService, request: LogsRequest, timeout: float | None) -> None:
        self._place = LogPlace(request)
        self._stream: AsyncStream[LogsResponse] = service.stream(
            "Logs", request, LogsResponse, timeout, lambda _: self._place.resume()
        )
        self._ready: Iterator[LogsResponse] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogsResponse:
        while True:
            for record in self._ready:
                return record
            response = await self._stream.__anext__()
            self._ready = single_records(self._place.advance(response))

    async def batches(self) -> AsyncIterator[list[LogRecords]]:
        """Give records many at a time, which is much quicker for long logs.

        Example::

            async with client.containers.logs("web") as logs:
                async for batch in logs.batches():
                    for records in batch:
                        sys.stdout.buffer.write(records.data)
        """
        async for response in self._stream:
            yield self._place.advance(response)

    @property
    def cursor(self) -> str:
        """The place after the last record that was given, for `logs(after=...)`; empty before the first.

        Of one that was given by iterating, `record.cursor` is the place after it.
        """
        return self._place.cursor

    async def close(self) -> None:
        """End the call; without effect on one that has ended."""
        await self._stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
