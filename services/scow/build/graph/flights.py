"""Work that several builds need at once, done once.

Whoever comes while it is under way gets its result, and what it tells meanwhile. It ends when nobody needs it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scow.build.history.progress import Step
from scow.contract.errors import Cancelled

T = TypeVar("T")


class Listeners:
    """The steps, of one build each, that are told what the work tells."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        # What was told so far, for who comes later.
        self._told: list[tuple[bytes, int]] = []

    def add(self, step: Step) -> None:
        """Tell a step too, also what was told before."""
        self._steps.append(step)
        for data, stream in self._told:
            step.log(data, stream)

    def discard(self, step: Step) -> None:
        """Tell a step no more."""
        if step in self._steps:
            self._steps.remove(step)

    def log(self, data: bytes, stream: int = 1) -> None:
        """Tell output."""
        self._told.append((data, stream))
        for step in self._steps:
            step.log(data, stream)

    def status(self, name: str, current: int, total: int = 0, *, completed: bool = False) -> None:
        """Tell how far a part is."""
        for step in self._steps:
            step.status(name, current, total, completed=completed)


@dataclass
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    listeners: Listeners
    waiting: int = field(default=0)


class Flights(Generic[T]):
    """Work under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def join(self, key: str, step: Step, work: Callable[[Listeners], Awaitable[T]]) -> T:
        """Return the result of the work with a key; start it unless it is under way.

        Args:
            key: What tells it from other work.
            step: Who is told about it.
            work: Does it.
        """
        while True:
            started = key not in self._flights
            try:
                return await self._join(key, step, work)
            except Cancelled:
                # The client of the build that began it has gone; ours has not, or this task would be cancelled.
                if started:
                    raise

    async def _join(self, key: str, step: Step, work: Callable[[Listeners], Awaitable[T]]) -> T:
        flight = self._flights.get(key)
        if flight is None:
            listeners = Listeners()
            task = asyncio.create_task(_run(work, listeners))
            flight = self._flights[key] = _Flight(task, listeners)
            task.add_done_callback(lambda _: self._forget(key, task))
        else:
            step.vertex.shared = True
        flight.listeners.add(step)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            flight.listeners.discard(step)
            if not flight.waiting and not flight.task.done():
                # From now on others start it anew.
                self._forget(key, flight.task)
                flight.task.cancel()
                await asyncio.wait([flight.task])

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        """Let nobody join a task any more; one that was started after it stays."""
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]


async def _run(work: Callable[[Listeners], Awaitable[T]], listeners: Listeners) -> T:
    return await work(listeners)
