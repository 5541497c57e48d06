"""Caches that RUN mounts: folders `mounts/<id>`, which no image gets.

"shared" caches may be used by several steps at once, "locked" ones wait for each other, and of "private" ones a step
that finds it in use gets another, new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from scow.build.folders import Folders
from scow.build.store import BuildStore
from scow.core.times import now_ns


class CacheMounts:
    """All of them.

    Args:
        base: The service's folder.
        rows: The tables.
    """

    def __init__(self, base: Path, rows: BuildStore) -> None:
        folder = base / "mounts"
        folder.mkdir(exist_ok=True, mode=0o711)
        self._folders = Folders(folder)
        self._rows = rows
        self._busy: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folders.path

    def path(self, name: str) -> Path:
        """Return the folder of one."""
        return self._folders.path / name

    def is_busy(self, name: str) -> bool:
        """Tell whether a step uses it."""
        return self._busy[name] > 0

    @contextlib.asynccontextmanager
    async def using(self, cache: str, sharing: str) -> AsyncIterator[Path]:
        """Give the folder of a cache for the length of the block; its content is in `data`.

        Args:
            cache: What tells it from others.
            sharing: "shared", "private" or "locked".
        """
        name = hashlib.sha256(cache.encode()).hexdigest()[:32]
        number = 0
        while sharing == "private" and self._busy[name]:
            number += 1
            name = hashlib.sha256(f"{cache}\n{number}".encode()).hexdigest()[:32]
        lock: contextlib.AbstractAsyncContextManager[object] = contextlib.nullcontext()
        if sharing == "locked":
            lock = self._locks.setdefault(name, asyncio.Lock())
        self._busy[name] += 1
        try:
            async with lock:
                folder = self.path(name)
                folder.mkdir(exist_ok=True, mode=0o711)
                with self._rows.transaction() as tx:
                    self._rows.use_mount(tx, name, now_ns())
                yield folder
        finally:
            self._busy[name] -= 1

    async def remove(self, name: str) -> bool:
        """Delete one; False when a step uses it."""
        if self.is_busy(name):
            return False
        with self._rows.transaction() as tx:
            self._rows.delete_mount(tx, name)
        await self._folders.remove(name)
        return True

    def strays(self) -> list[str]:
        """Return the folders without a record."""
        known = set(self._rows.mounts())
        return sorted(self._folders.names() - known)
