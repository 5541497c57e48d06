"""Letting what was written reach the disk, together: callers that wait at the same time share one syncfs(2)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from scow.kernel import syscalls


class SharedSync:
    """Syncs a file system.

    Args:
        folder: In the file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return when all that was written before this call has reached the disk.

        Raises:
            OSError: The disk failed.
        """
        # A sync under way may have passed what the caller wrote: it is the next one that counts.
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._running))
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._next)

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        await asyncio.to_thread(self._sync)

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(descriptor)
        finally:
            os.close(descriptor)
