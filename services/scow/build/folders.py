"""Folders that are removed while others may want their names again."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from scow.kernel.trees import remove_tree


class Folders:
    """The folders in a folder.

    Args:
        path: That.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # What is being deleted, by another name.
        self._leaving: set[str] = set()

    def names(self) -> set[str]:
        """Return the names of all; what a killed service was deleting is among them."""
        return set(os.listdir(self.path)) - self._leaving

    async def remove(self, name: str) -> None:
        """Delete one, in a thread. Its name is free at once: whoever makes it anew is not disturbed."""
        away = f"{name[:64]}.{secrets.token_hex(8)}"
        try:
            os.rename(self.path / name, self.path / away)
        except FileNotFoundError:
            return
        self._leaving.add(away)
        deleting = asyncio.ensure_future(asyncio.to_thread(remove_tree, self.path / away))
        deleting.add_done_callback(lambda _: self._leaving.discard(away))
        await asyncio.shield(deleting)
