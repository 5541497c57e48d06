"""Volumes that must not come to be used by anybody else for a moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection

from scow.volume.peers.container import Containers, Hold
from scow.volume.store import VolumeStore


class UseLock:
    """Keeps those who hold a volume as they are, and others from starting with it."""

    def __init__(self, rows: VolumeStore, containers: Containers) -> None:
        self._rows = rows
        self._containers = containers
        self._closed: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def still(self, name: str, *, freeze: bool = False) -> AsyncIterator[Hold]:
        """Hold all containers that use a volume for the length of the block.

        A container is held before the way is closed to others: one that starts just now waits for this service.

        Raises:
            ServiceUnavailable: The container service cannot be asked.
        """
        while True:
            await self.passed([name])
            owners = self._rows.owners(name)
            async with self._containers.held(owners, freeze=freeze) as hold:
                if name in self._closed or not set(self._rows.owners(name)) <= set(owners):
                    continue
                opened = self._closed[name] = asyncio.Event()
                try:
                    yield hold
                    return
                finally:
                    del self._closed[name]
                    opened.set()

    @contextlib.asynccontextmanager
    async def while_read(self, name: str, *, freeze: bool) -> AsyncIterator[Hold]:
        """Keep a volume still while it is read, where that is asked for.

        Raises:
            ServiceUnavailable: The container service cannot be asked.
        """
        if not freeze:
            yield Hold()
            return
        async with self.still(name, freeze=True) as hold:
            yield hold

    async def passed(self, names: Collection[str]) -> None:
        """Wait until none of these volumes is kept still; that is so until the caller awaits something."""
        while closed := [self._closed[name] for name in names if name in self._closed]:
            await closed[0].wait()
