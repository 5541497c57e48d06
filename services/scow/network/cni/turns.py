"""Calls of one network that run side by side, and one that runs alone: GC (section 4 of the specification)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """Who comes when. Whoever wants to be alone keeps later ones waiting, and waits for earlier ones."""

    def __init__(self) -> None:
        self._gate = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._running = 0

    @property
    def is_busy(self) -> bool:
        """Whether who wants to be alone would wait."""
        return bool(self._running) or self._gate.locked()

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Run beside others."""
        async with self._gate:
            self._running += 1
            self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run beside nobody."""
        async with self._gate:
            await self._idle.wait()
            yield
