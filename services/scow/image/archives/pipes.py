"""A pipe from the event loop to a worker."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator

# The kernel's default limit for users without CAP_SYS_RESOURCE.
_CAPACITY = 1 << 20


class PipeWriter:
    """A pipe: the worker gets `reader`, the service writes.

    Attributes:
        reader: The end to read, to be passed on; closed by `passed`.
    """

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # smaller is slower, no more
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, _CAPACITY)
        os.set_blocking(self._writer, False)

    def passed(self) -> None:
        """Close the reader's end here: the worker has it."""
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1

    async def write(self, data: bytes) -> bool:
        """Write all, as the reader takes it; return False when there is no reader any more."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._writer, view) :]
            except BlockingIOError:
                await self._room()
            except BrokenPipeError:
                return False
        return True

    async def feed(self, chunks: AsyncIterator[bytes]) -> None:
        """Write all chunks, then close; what the reader does not want is left."""
        try:
            async for chunk in chunks:
                if not await self.write(chunk):
                    return
        finally:
            self.close()

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        free = asyncio.Event()
        loop.add_writer(self._writer, free.set)
        try:
            await free.wait()
        finally:
            loop.remove_writer(self._writer)

    def close(self) -> None:
        """Close both ends."""
        self.passed()
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
