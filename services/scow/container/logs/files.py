"""The files of a container's log, read across rotations.

The shim writes one JSON record a line to `path`; when that is full it becomes `path.1`, that becomes `path.2`, and
the oldest is deleted. A reader keeps its file open and so loses nothing while the names move on.
"""

from __future__ import annotations

import calendar
import json
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_BLOCK = 64 << 10


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        time_ns: When it was written, nanoseconds since 1970 UTC.
        stream: "stdout" or "stderr".
        data: What was written, with the newline unless the line goes on in the next record.
    """

    time_ns: int
    stream: str
    data: bytes


def parse(line: bytes) -> Record | None:
    """Return the record of a line; None for a line that is none (a crash of the machine may leave one)."""
    try:
        fields = json.loads(line)
        return Record(_time_ns(fields["time"]), fields["stream"], fields["log"].encode())
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _time_ns(text: str) -> int:
    """Read RFC 3339 in UTC with up to nine digits of a second's fraction."""
    fraction = text[20:].rstrip("Z") if text[19:20] == "." else ""
    return _seconds(text[:19]) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


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

    def lines(self) -> list[bytes]:
        """Return the next whole lines; none at the present end."""
        while True:
            if self._fd < 0 and not self._open(self._oldest()):
                return []
            data = os.read(self._fd, _BLOCK)
            if data:
                *whole, self._rest = (self._rest + data).split(b"\n")
                if whole:
                    return whole
            elif not self._next_file():
                return []

    def _names(self) -> list[Path]:
        """Return the files there are, the newest first."""
        names = [self._path]
        while True:
            older = self._path.with_name(f"{self._path.name}.{len(names)}")
            if not older.exists():
                return names if self._path.exists() else names[1:]
            names.append(older)

    def _oldest(self) -> Path:
        return (self._names() or [self._path])[-1]

    def _open(self, path: Path) -> bool:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._rest = b""
        return True

    def _next_file(self) -> bool:
        """Move to the file after the present one, if that is full; tell whether there may be more to read."""
        mine = os.fstat(self._fd).st_ino
        names = self._names()
        place = next((i for i, name in enumerate(names) if _inode(name) == mine), None)
        if place == 0 or not names:
            return False
        # It was renamed after the end was seen: what was written in between comes first.
        position = os.lseek(self._fd, 0, os.SEEK_CUR)
        if os.fstat(self._fd).st_size > position:
            return True
        self.close()
        return self._open(names[-1] if place is None else names[place - 1])

    def _seek_tail(self, count: int) -> None:
        """Place the cursor before the last `count` lines."""
        names = self._names()
        for name in names:
            try:
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                break
            offset, found = _tail_offset(fd, count)
            count -= found
            if count <= 0 or name == names[-1]:
                os.lseek(fd, offset, os.SEEK_SET)
                self._fd = fd
                return
            os.close(fd)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1


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
