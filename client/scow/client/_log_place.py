"""Reading a log in batches, and going on after the service restarted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from scow.api.container.v1.container_pb2 import (
    LogRecords,
    LogsRequest,
    LogsResponse,
    OutputPosition,
)

_CURSOR = re.compile(r"([0-9a-f]{1,16})\.([0-9a-f]{1,16})\.([0-9a-f]{1,16})")


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
        # After the last record, where the service tells it.
        self._cursor: OutputPosition | None = request.after if request.HasField("after") else None

    @property
    def cursor(self) -> str:
        """Return the place after the last record as a text; empty when it is not known."""
        return cursor_text(self._cursor) if self._cursor is not None else ""

    def resume(self) -> LogsRequest:
        """Return the request that continues."""
        if self._cursor is not None:
            self._request.after.CopyFrom(self._cursor)
            self._request.ClearField("tail")
        elif self._count:
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
                self._cursor = _after(records)
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
        skipped = sum(records.sizes[:count])
        if records.HasField("before") and not records.notice:
            _advance(records.before, skipped, stderr=records.stderr)
        records.data = records.data[skipped:]
        del records.sizes[:count]
        del records.times[:count]

    def _note(self, times: Sequence[int]) -> None:
        last = times[-1]
        same = next((n for n, moment in enumerate(reversed(times)) if moment != last), len(times))
        self._count = same + (self._count if same == len(times) and last == self._time else 0)
        self._time = last


def cursor_text(place: OutputPosition) -> str:
    """Return a place in a log as a text."""
    return f"{place.run:x}.{place.stdout:x}.{place.stderr:x}"


def parse_cursor(text: str) -> OutputPosition:
    """Return the place that a text means.

    Raises:
        ValueError: It is none.
    """
    match = _CURSOR.fullmatch(text)
    numbers = [int(number, 16) for number in match.groups()] if match else []
    if not numbers or max(numbers) >= 1 << 63:
        raise ValueError(f"invalid cursor {text!r}")
    run, stdout, stderr = numbers
    return OutputPosition(run=run, stdout=stdout, stderr=stderr)


def _after(records: LogRecords) -> OutputPosition | None:
    """Return the place after records, where the service tells that before them."""
    if not records.HasField("before"):
        return None
    place = OutputPosition()
    place.CopyFrom(records.before)
    if not records.notice:
        _advance(place, len(records.data), stderr=records.stderr)
    return place


def _advance(place: OutputPosition, size: int, *, stderr: bool) -> None:
    if stderr:
        place.stderr += size
    else:
        place.stdout += size


def _records_of(response: LogsResponse) -> Sequence[LogRecords]:
    kind = response.WhichOneof("record")
    if kind is None:
        return response.batch
    data = getattr(response, kind)  # a service that knows no batches
    moment = response.time.ToNanoseconds()
    stderr = kind == "stderr"
    records = LogRecords(stderr=stderr, data=data, sizes=[len(data)], times=[moment])
    if response.HasField("cursor"):
        records.before.CopyFrom(response.cursor)
        _advance(records.before, -len(data), stderr=stderr)
    return [records]


def single_records(batch: Iterable[LogRecords]) -> Iterator[LogsResponse]:
    """Give a message for each record."""
    for records in batch:
        start = 0
        place = OutputPosition()
        place.CopyFrom(records.before)
        for size, moment in zip(records.sizes, records.times, strict=True):
            response = LogsResponse()
            response.time.FromNanoseconds(moment)
            data = records.data[start : start + size]
            if records.stderr:
                response.stderr = data
            else:
                response.stdout = data
            start += size
            if place.run:
                if not records.notice:
                    _advance(place, size, stderr=records.stderr)
                response.cursor.CopyFrom(place)
            yield response
