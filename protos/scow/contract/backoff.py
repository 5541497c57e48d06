"""Pauses between attempts: of clients, of services that call each other or a registry, of the supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pauses:
    """Pauses that grow: each is twice as long as the one before.

    Args:
        first: Seconds of the first one.
        longest: Seconds of the longest one.
        factor: Makes a number by which a pause is multiplied, so that many who were cut off at once do not come back at
            once.
    """

    def __init__(
        self, first: float, longest: float, factor: Callable[[], float] = lambda: 1.0
    ) -> None:
        self._first = first
        self._longest = longest
        self._factor = factor
        self._next = first

    def next(self) -> float:
        """Return the seconds of the next pause."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return pause * self._factor()

    def reset(self) -> None:
        """Begin again with the first one: there was progress."""
        self._next = self._first


class Patience:
    """Pauses with an end: how long one call is made again.

    Args:
        pauses: Between its attempts.
        patience: Seconds from the first failure to the last attempt.
        timeout: Seconds for the whole call, or None.
    """

    def __init__(self, pauses: Pauses, patience: float, timeout: float | None) -> None:
        self._pauses = pauses
        self._patience = patience
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._give_up: float | None = None

    def remaining(self) -> float | None:
        """Return the seconds left for the next attempt, or None."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def reset(self) -> None:
        """Forget the failures: the call made progress."""
        self._give_up = None
        self._pauses.reset()

    def next(self) -> float | None:
        """Return the seconds to wait before another attempt, or None when there is none."""
        now = time.monotonic()
        if self._give_up is None:
            self._give_up = now + self._patience
        limit = self._give_up if self._deadline is None else min(self._give_up, self._deadline)
        pause = self._pauses.next()
        return pause if now + pause < limit else None
