"""Logs: what a container wrote, in order, and what it goes on to write."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs import options
from scow.container.logs.files import Cursor, Place
from scow.container.model.containers import Entry
from scow.contract.errors import FailedPrecondition, LimitExceeded
from scow.contract.log_lines import STREAMS, Records
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
        # They are those of some time on, or up to some time, as times do not go back: their places follow each other.
        first = wanted.index(True)
        return replace(
            records.after(first),
            data=b"".join(compress(split(records.data, records.sizes), wanted)),
            sizes=list(compress(records.sizes, wanted)),
            times=list(compress(times, wanted)),
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
        path = path_of(entry)
        with contextlib.closing(await asyncio.to_thread(_cursor, entry, request)) as cursor:
            if not request.follow:
                async for records in _present(cursor, selection):
                    yield records
                return
            changes = self.changes(entry, path.parent, selection.until)
            async with contextlib.aclosing(changes):
                async for _ in changes:
                    async for records in _present(cursor, selection):
                        yield records

    async def changes(
        self, entry: Entry, folder: Path, until: int = _FOREVER
    ) -> AsyncGenerator[None]:
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
    while found := cursor.records():
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


def _cursor(entry: Entry, request: pb.LogsRequest) -> Cursor:
    """Return a cursor at the place that a request asks for."""
    tail = max(request.tail, 0) if request.HasField("tail") and request.tail >= 0 else None
    after = request.after if request.HasField("after") else None
    return Cursor(
        path_of(entry),
        options.parse(entry.described.config.log).form,
        tail=tail,
        after=Place(after.run, after.stdout, after.stderr) if after is not None else None,
        places=request.places,
    )


def split(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Give the data of each record."""
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size


class Answers:
    """Makes the responses of one call; keeps what is before each record.

    Args:
        request: The call's.
    """

    def __init__(self, request: pb.LogsRequest) -> None:
        self._batches = request.batches
        self._place = pb.OutputPosition()
        if request.HasField("after"):
            self._place.CopyFrom(request.after)

    def of(self, found: list[Records]) -> Iterator[pb.LogsResponse]:
        """Give the responses with records."""
        if self._batches:
            yield self._batch(found)
            return
        for records in found:
            for index in range(len(records.sizes)):
                yield self._single(records.after(index), records.sizes[index])

    def _batch(self, found: list[Records]) -> pb.LogsResponse:
        response = pb.LogsResponse()
        for records in found:
            before = self._move(records)
            response.batch.add(
                stderr=records.stream == "stderr",
                data=records.data,
                sizes=records.sizes,
                times=records.times,
                before=before,
                notice=records.notice,
            )
            self._pass(records, len(records.data))
        return response

    def _single(self, records: Records, size: int) -> pb.LogsResponse:
        self._move(records)
        self._pass(records, size)
        response = pb.LogsResponse(time=to_proto(records.times[0]))
        if self._place.run:
            response.cursor.CopyFrom(self._place)
        setattr(response, records.stream, records.data[:size])
        return response

    def _move(self, records: Records) -> pb.OutputPosition | None:
        """Note where records are; return it, or None where that is not known."""
        place = self._place
        if records.notice:
            return place if place.run else None
        if records.run is None or records.position is None:
            return None
        if records.run != place.run:
            place.Clear()
            place.run = records.run
        setattr(place, records.stream, records.position)
        return place

    def _pass(self, records: Records, size: int) -> None:
        if records.run is not None and not records.notice:
            setattr(self._place, records.stream, (records.position or 0) + size)
