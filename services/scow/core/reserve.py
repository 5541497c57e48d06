"""Room that is kept for a database on a disk that others fill: without it nothing could be removed any more.

A program in a container that fills the disk takes all but this. It is given up when the disk is full, so that what is
there to be removed can be, and taken again when there is plenty.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from scow.core import disk

SIZE = 1 << 20
# Of what is free, below which the reserve is given up, and above which it is taken.
_SCARCE = SIZE // 4
_PLENTY = 16 * SIZE


class Reserve:
    """The reserve of one database.

    Args:
        path: The reserve's file, beside the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = _is_whole(path)

    def balance(self) -> None:
        """Give the reserve up, or take it, as the disk is now."""
        try:
            free = disk.free(self._path.parent)
        except OSError:
            return  # whoever writes the database finds out why
        if self._held and free < _SCARCE:
            self._release()
        elif not self._held and free > _PLENTY:
            self._take()

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._held = False

    def _take(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(descriptor, 0, SIZE)
            self._held = True
        except OSError:
            self._release()
        finally:
            os.close(descriptor)


def _is_whole(path: Path) -> bool:
    """Tell whether a reserve is there: a process that was killed may have left a shorter file, which is taken anew."""
    try:
        return path.stat().st_size >= SIZE
    except OSError:
        return False
