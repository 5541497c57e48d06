"""Reading /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One mount: where, of what kind, and the options of its file system."""

    mountpoint: str
    fstype: str
    super_options: tuple[str, ...]


def read() -> Iterator[Entry]:
    """Iterate over the mounts of this process's namespace, in the order in which they were made."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.rstrip("\n").partition(" - ")
            fstype, _, super_options = right.split(" ", 2)
            point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), left.split(" ")[4])
            yield Entry(point, fstype, tuple(super_options.split(",")))
