import asyncio
import contextvars
import time

import pytest

from scow.core.tasks import Background, completed, together
from scow.core.trace import current_deadline, remaining


async def value(result: int, after: asyncio.Event | None = None) -> int:
    if after is not None:
        await after.wait()
    return result


async def fail() -> int:
    await asyncio.sleep(0)
    raise LookupError


async def test_together_gives_results_in_order() -> None:
    second = asyncio.Event()

    async def last() -> int:
        second.set()
        return 2

    assert await together(value(1, second), last()) == [1, 2]


async def test_together_waits_for_the_others_when_one_fails() -> None:
    ended = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(LookupError):
        await together(slow(), fail())
    assert ended == [True]


async def test_completed_goes_on_when_the_caller_is_cancelled() -> None:
    ended, begun, go = [], asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        ended.append(True)

    task = asyncio.create_task(completed(work()))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)  # it was cancelled, and waits
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_completed_has_no_deadline_and_keeps_the_rest_of_the_context() -> None:
    other = contextvars.ContextVar("other", default=0)
    current_deadline.set(time.monotonic() - 1)
    other.set(5)

    async def look() -> tuple[float | None, int]:
        return remaining(), other.get()

    assert await completed(look()) == (None, 5)
    assert remaining() == 0


async def test_completed_raises_what_the_work_raises() -> None:
    with pytest.raises(LookupError):
        await completed(fail())


async def test_background_has_a_context_of_its_own_and_is_cancelled_at_the_end() -> None:
    current_deadline.set(1.0)
    background = Background()

    async def look() -> float | None:
        return current_deadline.get()

    assert await background.start(look()) is None
    sleeping = background.start(asyncio.sleep(60))
    await background.close()
    assert sleeping.cancelled()
