"""inotify(7): being told that something in a folder changed."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x80, 0x100


class FolderWatch:
    """Sets `changed` whenever a file of a folder is written, made or renamed.

    Args:
        folder: Which one.

    Raises:
        OSError: The folder is not there, or the user's limit of watches is reached.
    """

    def __init__(self, folder: Path) -> None:
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error(folder)
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
        if _libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            error = _error(folder)
            os.close(self._fd)
            raise error
        self._loop.add_reader(self._fd, self._on_events)

    def _on_events(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 4096)
        self.changed.set()

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


def _error(folder: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(folder))
