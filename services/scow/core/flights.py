"""Work that several callers share: one flight for each key.

The first caller of a key starts the work, later ones join it. A caller that goes away leaves the others alone; when the
last one leaves, the work is cancelled and its clean-up awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
State = TypeVar("State")
Result = TypeVar("Result")


class Flight(Generic[State, Result]):
    """Work under way.

    Attributes:
        state: What the work tells its callers while it goes on.
    """

    def __init__(self, state: State, work: Coroutine[Any, Any, Result]) -> None:
        self.state = state
        self._users = 0
        self.task = asyncio.create_task(work)
        # The error reaches callers by `result`; with none left nobody needs it.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def result(self) -> Result:
        """Wait for the result. A caller that is cancelled does not cancel the work."""
        return await asyncio.shield(self.task)


class Flights(Generic[Key, State, Result]):
    """All work of one kind under way."""

    def __init__(self) -> None:
        self._flights: dict[Key, Flight[State, Result]] = {}

    def __contains__(self, key: Key) -> bool:
        """Tell whether there is work under way for the key."""
        return key in self._flights

    @contextlib.asynccontextmanager
    async def join(
        self,
        key: Key,
        make_state: Callable[[], State],
        work: Callable[[State], Coroutine[Any, Any, Result]],
    ) -> AsyncIterator[Flight[State, Result]]:
        """Join the flight of a key, or start it; leave it at the end of the block."""
        flight = self._flights.get(key)
        if flight is None:
            state = make_state()
            flight = self._flights[key] = Flight(state, work(state))
            joined = flight
            flight.task.add_done_callback(lambda _: self._forget(key, joined))
        flight._users += 1
        try:
            yield flight
        finally:
            flight._users -= 1
            if flight._users == 0 and not flight.task.done():
                # Nobody may join what is being given up.
                self._forget(key, flight)
                await cancel(flight.task)

    def _forget(self, key: Key, flight: Flight[State, Result]) -> None:
        """Let nobody join a flight any more; one that was started after it stays."""
        if self._flights.get(key) is flight:
            del self._flights[key]


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, also when the waiter itself is being cancelled."""
    task.cancel()
    interrupted = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            interrupted = True
    if interrupted:
        raise asyncio.CancelledError
