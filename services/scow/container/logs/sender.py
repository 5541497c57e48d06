"""Sending what containers write to servers: from the local copy, with a place that lasts.

The shim writes the local copy and knows nothing of servers. Here one task a container reads it and sends; how far it
came is written down after each batch, so that it goes on there after a restart of this service. While a server cannot
be reached it is tried again, and the local copy holds what is to be sent; what was rotated away meanwhile is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs import options
from scow.container.logs.files import Cursor, Place
from scow.container.logs.fluentd import Fluentd
from scow.container.logs.journald import Journald
from scow.container.logs.records import Logs, split
from scow.container.logs.sink import Message, Sink, Source
from scow.container.logs.syslog import Syslog
from scow.container.model.containers import Entry
from scow.container.model.paths import Paths
from scow.contract.errors import ScowError
from scow.contract.log_lines import Records
from scow.core.config import ContainerSection
from scow.core.tasks import Background

_SINKS: dict[str, Callable[[Source], Sink]] = {
    "syslog": Syslog,
    "journald": Journald,
    "fluentd": Fluentd,
}
_PAUSE_MIN, _PAUSE_MAX = 0.1, 5.0
# For what a container that is being removed has written last.
_DRAIN_SECONDS = 5.0
_log = structlog.get_logger()


@dataclass
class Progress:
    """How far the records of a container were sent.

    Attributes:
        place: Before it, everything was sent or lost.
        dropped: Bytes that were rotated away before they could be sent.
        error: Why nothing is sent now; empty when it is.
    """

    place: Place | None = None
    dropped: int = 0
    error: str = ""

    @classmethod
    def read(cls, path: Path) -> Progress:
        """Return what was written down; nothing was sent where there is nothing to read."""
        try:
            fields = json.loads(path.read_text())
            return cls(Place(*map(int, fields["place"])), int(fields["dropped"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Write it down."""
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps({"place": self.place, "dropped": self.dropped}))
        os.replace(new, path)


class Senders:
    """The tasks that send."""

    def __init__(
        self, section: ContainerSection, paths: Paths, logs: Logs, background: Background
    ) -> None:
        self._section = section
        self._paths = paths
        self._logs = logs
        self._background = background
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Progress] = {}

    def follow(self, entry: Entry) -> None:
        """Send what a container wrote and writes, unless that is being done or is not asked for."""
        if entry.described.config.log.driver not in options.REMOTE:
            return
        before = self._tasks.get(entry.id)
        if before is not None and not before.done():
            return
        task = self._background.start(self._follow(entry))
        self._tasks[entry.id] = task
        task.add_done_callback(lambda done: self._forget(entry.id, done))

    def _forget(self, container: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(container) is task:
            del self._tasks[container]

    def state(self, entry: Entry) -> pb.LogState:
        """Return how sending goes on."""
        found = self._progress.get(entry.id) or Progress.read(self._paths.sent(entry.id))
        return pb.LogState(dropped_bytes=found.dropped, error=found.error)

    async def drained(self, entry: Entry) -> None:
        """Wait for a moment until all that an ended container wrote is sent; then give up sending."""
        task = self._tasks.get(entry.id)
        if task is not None:
            await asyncio.wait([task], timeout=_DRAIN_SECONDS)
            task.cancel()
            await asyncio.wait([task])
        self._progress.pop(entry.id, None)

    async def _follow(self, entry: Entry) -> None:
        parsed = options.parse(entry.described.config.log)
        progress = self._progress[entry.id] = Progress.read(self._paths.sent(entry.id))
        try:
            await self._send(entry, parsed, progress)
        except ScowError as error:  # reconciliation tries again
            _log.warning("log not sent yet", container=entry.id, error=str(error))
            progress.error = str(error)

    async def _send(self, entry: Entry, parsed: options.LogOptions, progress: Progress) -> None:
        source = Source(entry.described, parsed.given, self._section)
        sink = await self._sink(entry, parsed.driver, source, progress)
        path = Path(entry.described.log_path)
        cursor = Cursor(path, parsed.form, after=progress.place)
        lines = _Lines()
        with contextlib.closing(sink), contextlib.closing(cursor):
            async with contextlib.aclosing(self._changes(entry, path.parent)) as changes:
                async for _ in changes:
                    while found := cursor.records():
                        _note_lost(progress, found)
                        messages = [each for records in found for each in lines.messages(records)]
                        await self._deliver(entry, sink, messages, progress)
                        progress.place = cursor.place
                        with contextlib.suppress(
                            OSError
                        ):  # the disk is full: a later batch does it
                            progress.write(self._paths.sent(entry.id))
                        await asyncio.sleep(0)

    async def _changes(self, entry: Entry, folder: Path) -> AsyncGenerator[None]:
        """Yield as `Logs.changes` does; once more when it was started again while what it had written was sent."""
        while True:
            async with contextlib.aclosing(self._logs.changes(entry, folder)) as changes:
                async for _ in changes:
                    yield
            if not entry.alive:
                return

    @staticmethod
    async def _sink(entry: Entry, driver: str, source: Source, progress: Progress) -> Sink:
        """Return where records are sent, once the files that its options name can be read."""
        while True:
            try:
                return _SINKS[driver](source)
            except OSError as error:
                if not progress.error:
                    _log.warning("log not sent yet", container=entry.id, error=str(error))
                progress.error = str(error)
                await asyncio.sleep(_PAUSE_MAX)

    async def _deliver(
        self, entry: Entry, sink: Sink, messages: list[Message], progress: Progress
    ) -> None:
        pause = _PAUSE_MIN
        while True:
            try:
                await sink.send(messages)
            except (OSError, TimeoutError) as error:
                if not progress.error:
                    _log.warning("log not sent yet", container=entry.id, error=str(error))
                progress.error = str(error) or type(error).__name__
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_MAX)
            else:
                progress.error = ""
                return


def _note_lost(progress: Progress, found: list[Records]) -> None:
    """Count bytes between what was sent and what there is to send."""
    place = progress.place
    if place is None:
        return
    reached = {"stdout": place.stdout, "stderr": place.stderr}
    for records in found:
        if records.position is None or records.run != place.run:
            continue
        stream, position = records.stream, records.position
        progress.dropped += max(0, position - reached[stream])
        reached[stream] = position + len(records.data)


class _Lines:
    """Makes messages of records, and knows which of them are parts of one line."""

    def __init__(self) -> None:
        # Of each stream, the line that goes on, and how many of its records there were.
        self._open: dict[str, tuple[str, int]] = {}

    def messages(self, records: Records) -> Iterator[Message]:
        stream = records.stream
        pieces = zip(records.times, split(records.data, records.sizes), strict=True)
        for moment, data in pieces:
            whole = data.endswith(b"\n")
            line, count = self._open.pop(stream, ("", 0))
            if whole and not line:
                yield Message(stream, moment, data[:-1])
                continue
            line = line or f"{stream}-{moment:x}"
            if not whole:
                self._open[stream] = (line, count + 1)
            text = data[:-1] if whole else data
            yield Message(stream, moment, text, line, count + 1, whole)
