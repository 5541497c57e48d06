"""Reading a log in batches, and going on after the service restarted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scow.api.container.v1.container_pb2 import LogRecords, LogsRequest, LogsResponse


class LogPlace:
    """How far a log has been read.

    Records of one moment may be told apart by their number alone, so that is what is remembered.

    Args:
        request: Is made to continue where the log was read up to.
    """

    def __init__(self, request: LogsRequest) -> None:
        self._request = request
        self._time = 0
        self._count = 0  # records of that time
        self._known = 0  # of these, how many come again

    def resume(self) -> LogsRequest:
        """Return the request that continues."""
        if self._count:
            self._request.since.FromNanoseconds(self._time)
            self._request.ClearField("tail")
            self._known = self._count
        return self._request

    def advance(self, response: LogsResponse) -> list[LogRecords]:
        """Return the records of a response that are new."""
        new = []
        for records in _records_of(response):
            if self._known:
                self._drop_known(records)
            if records.times:
                self._note(records.times)
                new.append(records)
        return new

    def _drop_known(self, records: LogRecords) -> None:
        count = 0
        while count < len(records.times) and self._known:
            if records.times[count] == self._time:
                count += 1
                self._known -= 1
            else:  # they were rotated away meanwhile
                self._known = 0
        records.data = records.data[sum(records.sizes[:count]) :]
        del records.sizes[:count]
        del records.times[:count]

    def _note(self, times: Sequence[int]) -> None:
        last = times[-1]
        same = next((n for n, moment in enumerate(reversed(times)) if moment != last), len(times))
        self._count = same + (self._count if same == len(times) and last == self._time else 0)
        self._time = last


def _records_of(response: LogsResponse) -> Sequence[LogRecords]:
    kind = response.WhichOneof("record")
    if kind is None:
        return response.batch
    data = getattr(response, kind)  # a service that knows no batches
    moment = response.time.ToNanoseconds()
    return [LogRecords(stderr=kind == "stderr", data=data, sizes=[len(data)], times=[moment])]


def single_records(batch: Iterable[LogRecords]) -> Iterator[LogsResponse]:
    """Give a message for each record."""
    for records in batch:
        start = 0
        for size, moment in zip(records.sizes, records.times, strict=True):
            response = LogsResponse()
            response.time.FromNanoseconds(moment)
            data = records.data[start : start + size]
            if records.stderr:
                response.stderr = data
            else:
                response.stdout = data
            start += size
            yield response
