"""Logs: what a container wrote, in order, and what it goes on to write."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs.files import Cursor
from scow.container.model.containers import Entry
from scow.contract.errors import FailedPrecondition, LimitExceeded
from scow.contract.log_record import STREAMS, Records, decode
from scow.core.times import from_proto, to_proto
from scow.kernel.inotify import FolderWatches

_FOREVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are wanted; times in nanoseconds since 1970."""

    since: int
    until: int
    streams: frozenset[str]

    @classmethod
    def of(cls, request: pb.LogsRequest) -> Selection:
        """Read a request; neither stream means both."""
        chosen = {name for name in STREAMS if getattr(request, name)}
        return cls(
            from_proto(request.since) if request.HasField("since") else 0,
            from_proto(request.until) if request.HasField("until") else _FOREVER,
            frozenset(chosen or STREAMS),
        )

    def of_records(self, records: Records) -> Records | None:
        """Return those that are wanted, or None."""
        if records.stream not in self.streams:
            return None
        times = records.times
        if self.since <= min(times) and max(times) <= self.until:
            return records
        wanted = [self.since <= moment <= self.until for moment in times]
        if not any(wanted):
            return None
        return Records(
            records.stream,
            b"".join(compress(split(records.data, records.sizes), wanted)),
            list(compress(records.sizes, wanted)),
            list(compress(times, wanted)),
        )


class Logs:
    """Reads the logs of containers."""

    def __init__(self) -> None:
        self._watches = FolderWatches()

    async def read(self, entry: Entry, request: pb.LogsRequest) -> AsyncIterator[list[Records]]:
        """Yield a container's records, some at a time; with `follow` until it ends.

        Raises:
            FailedPrecondition: It has no log.
            LimitExceeded: The kernel has no watch left.
        """
        selection = Selection.of(request)
        tail = max(request.tail, 0) if request.HasField("tail") and request.tail >= 0 else None
        path = path_of(entry)
        with contextlib.closing(Cursor(path, tail)) as cursor:
            if not request.follow:
                async for records in _present(cursor, selection):
                    yield records
                return
            changes = self._changes(entry, path.parent, selection.until)
            async with contextlib.aclosing(changes):
                async for _ in changes:
                    async for records in _present(cursor, selection):
                        yield records

    async def _changes(self, entry: Entry, folder: Path, until: int) -> AsyncGenerator[None]:
        """Yield at first, whenever the log changed, and once after the container's end or the time `until`."""
        with self._watching(entry, folder, until) as changed:
            while True:
                changed.clear()
                # In this order: an end that is recorded means that the log is complete.
                ended = not entry.alive or time.time_ns() > until
                yield
                if ended:
                    return
                await changed.wait()

    @contextlib.contextmanager
    def _watching(self, entry: Entry, folder: Path, until: int) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the log changes, the container ends, or a time is reached."""
        with contextlib.ExitStack() as stack:
            try:
                changed = stack.enter_context(self._watches.watch(folder))
            except OSError as error:
                raise LimitExceeded(
                    f"the log of container {entry.described.name} cannot be watched: {error}",
                    what="container",
                    which=entry.described.name,
                    do="raise fs.inotify.max_user_watches, or read the log without following it",
                ) from error

            async def end() -> None:
                await entry.until(lambda: not entry.alive)
                changed.set()

            ending = asyncio.create_task(end())
            stack.callback(ending.cancel)
            if until < _FOREVER:
                seconds = max(0.0, (until - time.time_ns()) / 1e9) + 0.001
                timer = asyncio.get_running_loop().call_later(seconds, changed.set)
                stack.callback(timer.cancel)
            yield changed

    def close(self) -> None:
        """Stop watching."""
        self._watches.close()


async def _present(cursor: Cursor, selection: Selection) -> AsyncIterator[list[Records]]:
    """Yield what is there now."""
    while lines := cursor.lines():
        found = decode(lines)
        wanted = [own for records in found if (own := selection.of_records(records)) is not None]
        if wanted:
            yield wanted
        if found and found[-1].times[-1] > selection.until:
            return
        await asyncio.sleep(0)


def path_of(entry: Entry) -> Path:
    """Return the path of a container's log.

    Raises:
        FailedPrecondition: It has none.
    """
    if not entry.described.log_path:
        raise FailedPrecondition(
            f"container {entry.described.name} has no log",
            what="container",
            which=entry.described.name,
            do="create it with a log driver other than none",
        )
    return Path(entry.described.log_path)


def split(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Give the data of each record."""
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size


def batch(found: list[Records]) -> pb.LogsResponse:
    """Return the message with many records."""
    response = pb.LogsResponse()
    for records in found:
        response.batch.add(
            stderr=records.stream == "stderr",
            data=records.data,
            sizes=records.sizes,
            times=records.times,
        )
    return response


def singly(found: list[Records]) -> Iterator[pb.LogsResponse]:
    """Give a message for each record."""
    for records in found:
        for moment, data in zip(records.times, split(records.data, records.sizes), strict=True):
            response = pb.LogsResponse(time=to_proto(moment))
            setattr(response, records.stream, data)
            yield response
