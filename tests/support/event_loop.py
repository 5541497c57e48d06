"""Whether a test blocks an event loop: one callback that holds it for long keeps every other call waiting."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from unittest import mock

# Of processor time.
BUSY_SECONDS = 0.1
# Of time altogether: wider, as it also counts the time in which other processes have the processors.
HELD_SECONDS = 0.5


@contextlib.contextmanager
def watched(found: list[str]) -> Iterator[None]:
    """Collect what holds an event loop for longer than the limits."""
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        busy, began = time.thread_time(), time.monotonic()
        run(handle)
        busy, held = time.thread_time() - busy, time.monotonic() - began
        if busy >= BUSY_SECONDS or held >= HELD_SECONDS:
            found.append(f"{held:.3f} s, {busy:.3f} s of them busy: {handle!r}")

    with mock.patch.object(asyncio.Handle, "_run", timed):
        yield
