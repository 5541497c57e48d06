"""The body of a request as a file, for what reads files: archives and contexts of builds."""

from __future__ import annotations

import asyncio
import io

from aiohttp import web


class Body(io.RawIOBase):
    """A request's body. It is read in threads, while the loop brings more.

    Args:
        request: Whose body it is.
    """

    def __init__(self, request: web.Request) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, as soon as there are some; none at the end."""
        reading = self._content.read(size)
        return asyncio.run_coroutine_threadsafe(reading, self._loop).result()
