"""What a container used, read from its cgroup before that is removed: a few small files, of v1 or v2."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

# By file: of v1 and of v2.
_PEAK = ("memory.max_usage_in_bytes", "memory.peak")
# Peak and limit of v1, of memory alone and with swap. Its counts of failures stay at 0 on recent kernels (6.18), but a
# peak at the limit, up to what a processor charges in advance, tells the same.
_REACHED = (
    ("memory.max_usage_in_bytes", "memory.limit_in_bytes"),
    ("memory.memsw.max_usage_in_bytes", "memory.memsw.limit_in_bytes"),
)
_CHARGED_AHEAD = 512 << 10


@dataclass(slots=True)
class Usage:
    """What was used.

    Attributes:
        peak_memory: Bytes, the most at any time; 0 where the kernel does not say.
        cpu_ns: Processor time in nanoseconds.
        limit_hit: The container's own memory limit was reached.
        forks_refused: How often the limit of processes refused one.
    """

    peak_memory: int = 0
    cpu_ns: int = 0
    limit_hit: bool = False
    forks_refused: int = 0


def read(directories: Iterable[str]) -> Usage:
    """Return what the processes of a cgroup used.

    Args:
        directories: The cgroup's, one a hierarchy.
    """
    found = Usage()
    for directory in directories:
        for name in _PEAK:
            found.peak_memory = max(found.peak_memory, _number(directory, name))
        for peak, limit in _REACHED:
            most = _number(directory, limit)
            found.limit_hit |= most > 0 and _number(directory, peak) >= most - _CHARGED_AHEAD
        found.limit_hit |= _field(directory, "memory.events", b"oom") > 0
        found.forks_refused = max(found.forks_refused, _field(directory, "pids.events", b"max"))
        found.cpu_ns = max(
            found.cpu_ns,
            _number(directory, "cpuacct.usage"),
            1000 * _field(directory, "cpu.stat", b"usage_usec"),
        )
    return found


def _read(directory: str, name: str) -> bytes:
    try:
        fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # the hierarchy has no such controller
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _number(directory: str, name: str) -> int:
    text = _read(directory, name).strip()
    return int(text) if text.isdigit() else 0


def _field(directory: str, name: str, key: bytes) -> int:
    for line in _read(directory, name).splitlines():
        word, _, value = line.partition(b" ")
        if word == key and value.isdigit():
            return int(value)
    return 0
