"""Reading /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One mount: its id, where, of what kind, its device ("8:1"), and the options of its file system."""

    mount_id: int
    mountpoint: str
    fstype: str
    device: str
    super_options: tuple[str, ...]


def read(pid: int = 0) -> Iterator[Entry]:
    """Iterate over the mounts of a process's namespace, or of this one's, in the order in which they were made."""
    fd = os.open(f"/proc/{pid or 'self'}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    yield from read_from(fd)


def read_from(fd: int) -> Iterator[Entry]:
    """Iterate over the mounts in such a file; its descriptor is closed."""
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.rstrip("\n").partition(" - ")
            fstype, _, super_options = right.split(" ", 2)
            fields = left.split(" ")
            point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
            yield Entry(int(fields[0]), point, fstype, fields[2], tuple(super_options.split(",")))
