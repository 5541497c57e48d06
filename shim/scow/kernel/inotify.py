"""inotify(7): being told that something in a folder changed."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x80, 0x100
_MASK = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
_IN_Q_OVERFLOW, _IN_IGNORED = 0x4000, 0x8000
_HEADER = struct.Struct("iIII")
_BUFFER = 64 << 10


class FolderWatches:
    """Watches of folders on one inotify instance, of which a user has few (fs.inotify.max_user_instances).

    The instance is made with the first watch.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        # Events of those who watch, by watch descriptor: the kernel gives one a folder.
        self._waiting: dict[int, list[asyncio.Event]] = {}

    @contextlib.contextmanager
    def watch(self, folder: Path) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever a file of a folder is written, made or renamed.

        Raises:
            OSError: The folder is not there, or the user's limit of watches or instances is reached.
        """
        self._open()
        number: int = _libc.inotify_add_watch(self._fd, os.fsencode(folder), _MASK)
        if number < 0:
            raise _error(folder)
        changed = asyncio.Event()
        self._waiting.setdefault(number, []).append(changed)
        try:
            yield changed
        finally:
            others = self._waiting.get(number, [])
            if changed in others:
                others.remove(changed)
                if not others:
                    del self._waiting[number]
                    _libc.inotify_rm_watch(self._fd, number)

    def _open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._fd >= 0 and self._loop is loop:
            return
        self.close()
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error(Path("/proc/sys/fs/inotify/max_user_instances"))
        self._loop = loop
        loop.add_reader(self._fd, self._on_events)

    def _on_events(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, size = _HEADER.unpack_from(data, at)
            at += _HEADER.size + size
            if mask & _IN_Q_OVERFLOW:  # events were lost: nobody knows whose
                told = [event for events in self._waiting.values() for event in events]
            elif mask & _IN_IGNORED:  # the folder is gone, and its number may be given again
                told = self._waiting.pop(number, [])
            else:
                told = self._waiting.get(number, [])
            for event in told:
                event.set()

    def close(self) -> None:
        """Stop watching."""
        if self._fd < 0 or self._loop is None:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._waiting.clear()


def _error(folder: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(folder))
