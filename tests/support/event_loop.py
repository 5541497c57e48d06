"""Whether a test blocks an event loop: one callback that holds it for long keeps every other call waiting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

# Of processor time.
BUSY_SECONDS = 0.1
# Of time altogether, without that in which other processes have the processors.
HELD_SECONDS = 0.3


class _Times(NamedTuple):
    """Of this thread: on a processor, and altogether but for the time in which it waits for one; in seconds."""

    busy: float
    held: float

    def __add__(self, other: Any) -> _Times:
        return _Times(self.busy + other.busy, self.held + other.held)

    def __sub__(self, other: _Times) -> _Times:
        return _Times(self.busy - other.busy, self.held - other.held)


def _now() -> _Times:
    return _Times(time.thread_time(), time.monotonic() - _waited())


_schedstat = threading.local()


def _waited() -> float:
    """Return the seconds for which this thread could have run and had no processor (proc(5), schedstat)."""
    file = getattr(_schedstat, "file", None)
    if file is None or _schedstat.pid != os.getpid():
        file = _schedstat.file = open("/proc/thread-self/schedstat", "rb")  # noqa: SIM115  for as long as the thread
        _schedstat.pid = os.getpid()
    return int(os.pread(file.fileno(), 100, 0).split()[1]) / 1e9


@contextlib.contextmanager
def watched(found: list[str]) -> Iterator[None]:
    """Collect what holds an event loop for longer than the limits.

    The collector of garbage does not count: it takes as long as this process, with all its tests, has objects.
    """
    run = asyncio.Handle._run
    collecting = began = _Times(0.0, 0.0)

    def collector(phase: str, _: dict[str, int]) -> None:
        nonlocal collecting, began
        if phase == "start":
            began = _now()
        else:
            collecting += _now() - began

    def timed(handle: asyncio.Handle) -> None:
        before = _now() - collecting
        run(handle)
        took = _now() - collecting - before
        if took.busy >= BUSY_SECONDS or took.held >= HELD_SECONDS:
            found.append(f"{took.held:.3f} s, {took.busy:.3f} s of them busy: {handle!r}")

    gc.callbacks.append(collector)
    try:
        with mock.patch.object(asyncio.Handle, "_run", timed):
            yield
    finally:
        gc.callbacks.remove(collector)
