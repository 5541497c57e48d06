"""The log of a container, as a client reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from scow.api.container.v1.container_pb2 import LogRecords, LogsRequest, LogsResponse
from scow.client._log_place import LogPlace, single_records
from scow.client._sync.service import Service
from scow.client._sync.stream import Stream


class Logs:
    """An iterator over the records of a log; goes on where it was after a restart of the service.

    Closing it, leaving its context ends the call.

    Raises:
        ScowError: While iterating: what the service said.

    Example::

        with client.containers.logs("web", follow=True) as logs:
            for record in logs:
                print(record.stdout)
    """

    def __init__(self, service: Service, request: LogsRequest, timeout: float | None) -> None:
        self._place = LogPlace(request)
        self._stream: Stream[LogsResponse] = service.stream(
            "Logs", request, LogsResponse, timeout, lambda _: self._place.resume()
        )
        self._ready: Iterator[LogsResponse] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogsResponse:
        while True:
            for record in self._ready:
                return record
            response = self._stream.__next__()
            self._ready = single_records(self._place.advance(response))

    def batches(self) -> Iterator[list[LogRecords]]:
        """Give records many at a time, which is much quicker for long logs.

        Example::

            with client.containers.logs("web") as logs:
                for batch in logs.batches():
                    for records in batch:
                        sys.stdout.buffer.write(records.data)
        """
        for response in self._stream:
            yield self._place.advance(response)

    @property
    def cursor(self) -> str:
        """The place after the last record that was given, for `logs(after=...)`; empty before the first.

        Of one that was given by iterating, `record.cursor` is the place after it.
        """
        return self._place.cursor

    def close(self) -> None:
        """End the call; without effect on one that has ended."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
