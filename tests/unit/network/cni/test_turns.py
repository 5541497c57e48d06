"""Who runs beside whom."""

from __future__ import annotations

import asyncio

from scow.network.cni.turns import Turns


async def _until(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_that_is_alone_waits_and_is_waited_for() -> None:
    turns, seen = Turns(), list[str]()
    release = asyncio.Event()

    async def share(name: str) -> None:
        async with turns.shared():
            seen.append(name)
            await _until(release)

    async def alone() -> None:
        async with turns.alone():
            seen.append("alone")

    tasks = [asyncio.create_task(share("a")), asyncio.create_task(share("b"))]
    await _settle()
    tasks.append(asyncio.create_task(alone()))
    await _settle()
    tasks.append(asyncio.create_task(share("late")))
    await _settle()
    assert seen == ["a", "b"]
    release.set()
    await asyncio.gather(*tasks)
    assert seen == ["a", "b", "alone", "late"]


async def test_who_gives_up_is_not_waited_for() -> None:
    turns, release = Turns(), asyncio.Event()

    async def share() -> None:
        async with turns.shared():
            await _until(release)

    async def alone() -> None:
        async with turns.alone():
            raise AssertionError("it was cancelled")

    held = asyncio.create_task(share())
    await _settle()
    waiting = asyncio.create_task(alone())
    await _settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10), turns.shared():
        held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    async with asyncio.timeout(10), turns.alone():
        pass
