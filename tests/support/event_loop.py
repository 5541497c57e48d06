"""Whether a test blocks an event loop: one callback that holds it for long keeps every other call waiting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from unittest import mock

# Of processor time.
BUSY_SECONDS = 0.1
# Of time altogether: wider, as it also counts the time in which other processes have the processors.
HELD_SECONDS = 0.5


@contextlib.contextmanager
def watched(found: list[str]) -> Iterator[None]:
    """Collect what holds an event loop for longer than the limits.

    The collector of garbage does not count: it takes as long as this process, with all its tests, has objects.
    """
    run = asyncio.Handle._run
    collecting, since = 0.0, 0.0

    def collector(phase: str, _: dict[str, int]) -> None:
        nonlocal collecting, since
        if phase == "start":
            since = time.thread_time()
        else:
            collecting += time.thread_time() - since

    def timed(handle: asyncio.Handle) -> None:
        busy, began = time.thread_time() - collecting, time.monotonic()
        run(handle)
        busy, held = time.thread_time() - collecting - busy, time.monotonic() - began
        if busy >= BUSY_SECONDS or held >= HELD_SECONDS:
            found.append(f"{held:.3f} s, {busy:.3f} s of them busy: {handle!r}")

    gc.callbacks.append(collector)
    try:
        with mock.patch.object(asyncio.Handle, "_run", timed):
            yield
    finally:
        gc.callbacks.remove(collector)
