"""Work that several builds need at once, done once.

Whoever comes while it is under way gets its result, and what it tells meanwhile. It ends when nobody needs it any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from scow.build.history.progress import LOG_MAX, Step
from scow.contract.errors import Cancelled
from scow.core import flights

T = TypeVar("T")


class Listeners:
    """The steps, of one build each, that are told what the work tells."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        # What was told so far, for who comes later.
        self._told: list[tuple[bytes, int]] = []
        self._size = 0

    @contextlib.contextmanager
    def telling(self, step: Step) -> Iterator[None]:
        """Tell a step for the length of the block, also what was told before."""
        self._steps.append(step)
        for data, stream in self._told:
            step.log(data, stream)
        try:
            yield
        finally:
            self._steps.remove(step)

    def log(self, data: bytes, stream: int = 1) -> None:
        """Tell output."""
        if self._size <= LOG_MAX:  # what follows, no step keeps
            self._told.append((data, stream))
            self._size += len(data)
        for step in self._steps:
            step.log(data, stream)

    def status(self, name: str, current: int, total: int = 0, *, completed: bool = False) -> None:
        """Tell how far a part is."""
        for step in self._steps:
            step.status(name, current, total, completed=completed)


class Flights(Generic[T]):
    """Work under way, by key."""

    def __init__(self) -> None:
        self._flights: flights.Flights[str, Listeners, T] = flights.Flights()

    async def join(self, key: str, step: Step, work: Callable[[Listeners], Awaitable[T]]) -> T:
        """Return the result of the work with a key; start it unless it is under way.

        Args:
            key: What tells it from other work.
            step: Who is told about it.
            work: Does it.
        """

        async def run(listeners: Listeners) -> T:
            return await work(listeners)

        while True:
            started = key not in self._flights
            try:
                async with self._flights.join(key, Listeners, run) as flight:
                    step.vertex.shared = step.vertex.shared or not started
                    with flight.state.telling(step):
                        return await flight.result()
            except Cancelled:
                # The client of the build that began it has gone; ours has not, or this task would be cancelled.
                if started:
                    raise
