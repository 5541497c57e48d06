"""Work that callers share."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from scow.core.flights import Flights


class Work:
    """Counts its runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.cleaned = False
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, state: list[str]) -> int:
        self.runs += 1
        state.append("begun")
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            await asyncio.sleep(0)
            self.cleaned = True
        return self.runs


async def _join(flights: Flights[str, list[str], int], work: Work) -> int:
    async with flights.join("key", list, work) as flight:
        return await flight.result()


async def test_callers_share_one_flight() -> None:
    flights: Flights[str, list[str], int] = Flights()
    work = Work()
    callers = [asyncio.create_task(_join(flights, work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*callers) == [1, 1, 1]
    assert "key" not in flights


async def test_a_caller_that_leaves_does_not_disturb_the_others() -> None:
    flights: Flights[str, list[str], int] = Flights()
    work = Work()
    first, second = (asyncio.create_task(_join(flights, work)) for _ in range(2))
    await work.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.go.set()
    assert await second == 1


async def test_the_last_one_ends_the_work_and_waits_for_its_end() -> None:
    flights: Flights[str, list[str], int] = Flights()
    work = Work()
    only = asyncio.create_task(_join(flights, work))
    await work.begun.wait()
    only.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await only
    assert work.cleaned
    assert "key" not in flights


async def test_a_failure_reaches_all_and_the_next_try_starts_anew() -> None:
    flights: Flights[str, list[str], int] = Flights()
    runs = 0

    async def work(state: list[str]) -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)  # both have joined
        if runs == 1:
            raise ValueError("first")
        return runs

    async def join() -> int:
        async with flights.join("key", list, work) as flight:
            return await flight.result()

    results = await asyncio.gather(join(), join(), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert await join() == 2
