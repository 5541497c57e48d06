"""The processes that this talker had the keeper become the parent of: the keeper tells how they ended."""

from __future__ import annotations

from collections.abc import Callable


class Children:
    """The running children and what to call with the wait(2) status of each."""

    def __init__(self) -> None:
        self._ended: dict[int, Callable[[int], None]] = {}

    def add(self, pid: int, ended: Callable[[int], None]) -> None:
        """Register a child right after its fork, before anything else is read from the keeper."""
        self._ended[pid] = ended

    def __contains__(self, pid: int) -> bool:
        return pid in self._ended

    def ended(self, pid: int, status: int) -> None:
        """Tell whoever registered a child that it has ended; others are orphans of the container."""
        ended = self._ended.pop(pid, None)
        if ended is not None:
            ended(status)
