"""The files of a container's log, read across rotations.

The shim writes one record a line to `path`; when that is full it becomes `path.1`, that becomes `path.2`, and
the oldest is deleted. A reader keeps its file open, so that no other one gets its inode, and finds its place among the
names by the inode: so it loses nothing while the names move on, and reads nothing twice.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_BLOCK = 256 << 10
# A line that is longer holds no record: what a record takes at most is a few times 16 KiB.
_LONGEST_LINE = 1 << 20
_MOST_FILES = 1000
# Rotations that may happen while names are looked up.
_MOVES = 4


class Cursor:
    """A place in a log that moves forward.

    Args:
        path: The log's newest file.
        tail: Begin so many records before the present end; None means at the beginning.
    """

    def __init__(self, path: Path, tail: int | None = None) -> None:
        self._path = path
        self._fd = -1
        self._rest = b""
        if tail is not None:
            self._seek_tail(tail)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def lines(self) -> bytes:
        """Return the next whole lines; empty at the present end."""
        while True:
            if self._fd < 0 and not self._open_oldest():
                return b""
            data = os.read(self._fd, _BLOCK)
            if data:
                end = data.rfind(b"\n") + 1
                if end:
                    whole, self._rest = self._rest + data[:end], data[end:]
                    return whole
                self._rest = (self._rest + data)[-_LONGEST_LINE:]
            elif not self._next_file():
                return b""

    def _open_oldest(self) -> bool:
        while names := self._inodes():
            name, inode = list(names.items())[-1]
            if self._take(name, inode):
                return True
        return False

    def _next_file(self) -> bool:
        """Move to the file after the present one, if that is full; tell whether there may be more to read."""
        mine = os.fstat(self._fd)
        while names := self._inodes():
            order = list(names.values())
            if order[0] == mine.st_ino:
                return False
            if os.fstat(self._fd).st_size > os.lseek(self._fd, 0, os.SEEK_CUR):
                return True  # it was renamed after the end was seen: what was written in between comes first
            # One that is gone already is followed by the oldest there is.
            place = order.index(mine.st_ino) if mine.st_ino in order else len(order)
            if self._take(list(names)[place - 1], order[place - 1]):
                return True
        return False

    def _take(self, name: Path, inode: int) -> bool:
        """Open a file in place of the present one; false when the names moved on meanwhile."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        if os.fstat(fd).st_ino != inode:
            os.close(fd)
            return False
        self.close()
        self._fd, self._rest = fd, b""
        return True

    def _inodes(self) -> dict[Path, int]:
        """Return the files there are, the newest first, each once.

        Names are looked up in the order in which files move through them, so that a rotation hides none; it may
        show one twice.
        """
        found: dict[int, Path] = {}
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                found.setdefault(name.stat().st_ino, name)
        return {name: inode for inode, name in found.items()}

    def _names(self) -> list[Path]:
        """Return the names that files may have, the newest file's first."""
        prefix = f"{self._path.name}."
        numbers = [0]
        with contextlib.suppress(FileNotFoundError), os.scandir(self._path.parent) as entries:
            for entry in entries:
                number = entry.name.removeprefix(prefix)
                if number != entry.name and number.isdecimal() and number.isascii():
                    numbers.append(min(int(number), _MOST_FILES))
        # And those to which the oldest may move meanwhile.
        older = range(1, max(numbers) + _MOVES + 1)
        return [self._path, *(self._path.with_name(f"{prefix}{number}") for number in older)]

    def _seek_tail(self, count: int) -> None:
        """Place the cursor before the last `count` lines."""
        seen: set[int] = set()
        for name in self._names():
            try:
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            if (inode := os.fstat(fd).st_ino) in seen:
                os.close(fd)
                continue
            seen.add(inode)
            # When there is no older file, this one is where the tail begins.
            self.close()
            self._fd = fd
            offset, found = _tail_offset(fd, count)
            os.lseek(fd, offset, os.SEEK_SET)
            count -= found
            if count <= 0:
                return


def _tail_offset(fd: int, count: int) -> tuple[int, int]:
    """Return where the last `count` lines of a file begin, and how many there are of them."""
    end = os.lseek(fd, 0, os.SEEK_END)
    if count <= 0:
        return end, 0
    found = 0  # ends of lines, the last one of the file included
    position = end
    while position > 0:
        start = max(0, position - _BLOCK)
        block = os.pread(fd, position - start, start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == count + 1:
                return start + at + 1, count
        position = start
    return 0, found
