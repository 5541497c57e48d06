"""Logs: what a container wrote, in order, and what it goes on to write."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs.files import Cursor, parse
from scow.container.model.containers import Entry
from scow.contract.errors import FailedPrecondition
from scow.core.times import from_proto, to_proto
from scow.kernel.inotify import FolderWatch

_FOREVER = 1 << 63
# An upper bound of the time to notice, should the kernel have no watch left to give.
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are wanted; times in nanoseconds since 1970."""

    since: int
    until: int
    streams: frozenset[str]

    @classmethod
    def of(cls, request: pb.LogsRequest) -> Selection:
        """Read a request; neither stream means both."""
        chosen = {name for name in ("stdout", "stderr") if getattr(request, name)}
        return cls(
            from_proto(request.since) if request.HasField("since") else 0,
            from_proto(request.until) if request.HasField("until") else _FOREVER,
            frozenset(chosen or {"stdout", "stderr"}),
        )


async def read(entry: Entry, request: pb.LogsRequest) -> AsyncIterator[pb.LogsResponse]:
    """Yield a container's records; with `follow` until it ends.

    Raises:
        FailedPrecondition: It has no log.
    """
    path = entry.described.log_path
    if not path:
        raise FailedPrecondition(
            f"container {entry.described.name} has no log",
            what="container",
            which=entry.described.name,
            do="create it with a log driver other than none",
        )
    selection = Selection.of(request)
    tail = max(request.tail, 0) if request.HasField("tail") and request.tail >= 0 else None
    with contextlib.closing(Cursor(Path(path), tail)) as cursor:
        if not request.follow:
            async for response in _present(cursor, selection):
                yield response
            return
        with _watching(entry, Path(path).parent) as changed:
            while True:
                changed.clear()
                # In this order: an end that is recorded means that the log is complete.
                ended = not entry.alive
                async for response in _present(cursor, selection):
                    yield response
                if ended or time.time_ns() > selection.until:
                    return
                await _wait(changed, selection.until)


async def _present(cursor: Cursor, selection: Selection) -> AsyncIterator[pb.LogsResponse]:
    """Yield what is there now."""
    while lines := cursor.lines():
        for line in lines:
            record = parse(line)
            if record is None or record.stream not in selection.streams:
                continue
            if record.time_ns > selection.until:
                return
            if record.time_ns >= selection.since:
                response = pb.LogsResponse(time=to_proto(record.time_ns))
                setattr(response, record.stream, record.data)
                yield response
        await asyncio.sleep(0)


@contextlib.contextmanager
def _watching(entry: Entry, folder: Path) -> Iterator[asyncio.Event]:
    """Give an event that is set whenever the log changes or the container ends."""
    watch: FolderWatch | None = None
    with contextlib.suppress(OSError):
        watch = FolderWatch(folder)
    changed = watch.changed if watch is not None else asyncio.Event()

    async def end() -> None:
        await entry.until(lambda: not entry.alive)
        changed.set()

    ending = asyncio.create_task(end())
    try:
        yield changed
    finally:
        ending.cancel()
        if watch is not None:
            watch.close()


async def _wait(changed: asyncio.Event, until: int) -> None:
    seconds = min(_POLL_SECONDS, max(0.001, (until - time.time_ns()) / 1e9))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), seconds)
