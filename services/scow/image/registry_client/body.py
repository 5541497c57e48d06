"""The body of an upload: a part of a file, read while it is sent, and again when it must be sent again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter

_READ = 1 << 20


class FilePart(aiohttp.Payload):
    """Bytes of an open file.

    Args:
        descriptor: The file; the caller closes it.
        start: Position of the first byte.
        size: How many.
        stall_seconds: For which the other side may take nothing.
        sent: Told the position up to which bytes were handed over.
    """

    def __init__(
        self,
        descriptor: int,
        start: int,
        size: int,
        stall_seconds: float,
        sent: Callable[[int], None],
    ) -> None:
        super().__init__(None)
        self._size = size
        self._descriptor = descriptor
        self._start = start
        self._stall_seconds = stall_seconds
        self._sent = sent

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse: it is never whole in memory."""
        raise TypeError("a part of a file is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the bytes."""
        position, end = self._start, self._start + (self._size or 0)
        while position < end:
            wanted = min(_READ, end - position)
            data = await asyncio.to_thread(os.pread, self._descriptor, wanted, position)
            if not data:
                raise OSError(0, "the file is shorter than it was")
            # The client's read timeout does not watch writing.
            async with asyncio.timeout(self._stall_seconds):
                await writer.write(data)
            position += len(data)
            self._sent(position)
