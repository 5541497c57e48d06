"""The events of one build: written to a file as they come, and given to whoever follows.

A file has the events one after the other, each behind its length (4 bytes, little-endian). It is read from its start by
who comes later, so that nothing of a long build is held in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncGenerator
from pathlib import Path

from scow.api.build.v1 import build_pb2 as pb
from scow.core.times import now_proto

_LENGTH = struct.Struct("<I")
_READ = 1 << 18


class EventLog:
    """The events of a build that runs.

    Args:
        path: The file, which is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self._grown = asyncio.Event()
        self.ended = False

    def append(self, event: pb.BuildEvent) -> None:
        """Write an event, at the present time unless it has one."""
        if not event.HasField("time"):
            event.time.CopyFrom(now_proto())
        data = event.SerializeToString()
        os.write(self._descriptor, _LENGTH.pack(len(data)) + data)
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def end(self) -> None:
        """Tell that no event follows."""
        if not self.ended:
            self.ended = True
            os.close(self._descriptor)
            self._wake()

    async def follow(self) -> AsyncGenerator[pb.BuildEvent, None]:
        """Give all events from the first one on, until the end."""
        with self.path.open("rb") as file:
            pending = b""
            while True:
                grown, ended = self._grown, self.ended
                data = file.read(_READ)
                pending += data
                events, pending = _split(pending)
                for event in events:
                    yield event
                if not data:
                    if ended:
                        return
                    await grown.wait()


def read(path: Path) -> list[pb.BuildEvent]:
    """Return the events of a build that has ended; none where its file is gone."""
    with contextlib.suppress(FileNotFoundError):
        return _split(path.read_bytes())[0]
    return []


def _split(data: bytes) -> tuple[list[pb.BuildEvent], bytes]:
    """Return the whole events at the beginning, and the rest."""
    events = []
    position = 0
    while position + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        end = position + _LENGTH.size + length
        if end > len(data):
            break
        events.append(pb.BuildEvent.FromString(data[position + _LENGTH.size : end]))
        position = end
    return events, data[position:]
