"""Waiting for the processes that this shim is the parent of.

A process that ended keeps its PID until it is waited for, and that happens here only; so a signal sent to a child
that is still registered never hits a stranger. Orphans that the kernel hands to the shim as
subreaper are waited for too, and forgotten.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable


class Children:
    """The running children and what to call with the wait(2) status of each."""

    def __init__(self) -> None:
        self._ended: dict[int, Callable[[int], None]] = {}

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to wait; SIGCHLD merges, so each one is followed by looking for all."""
        loop.add_signal_handler(signal.SIGCHLD, self.collect)
        loop.call_soon(self.collect)

    def add(self, pid: int, ended: Callable[[int], None]) -> None:
        """Register a child right after its fork."""
        self._ended[pid] = ended

    def __contains__(self, pid: int) -> bool:
        return pid in self._ended

    def collect(self) -> None:
        """Wait for every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._ended.pop(pid, None)
            if ended is not None:
                ended(status)
