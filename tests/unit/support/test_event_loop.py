import asyncio
import time

import pytest

from tests.support.event_loop import BUSY_SECONDS, HELD_SECONDS, watched


@pytest.mark.blocks_event_loop
async def test_callbacks_that_block_are_found() -> None:
    found: list[str] = []
    with watched(found):
        await asyncio.sleep(0)
        time.sleep(HELD_SECONDS)  # noqa: ASYNC251 - that is what is looked for
        await asyncio.sleep(0)
        began = time.thread_time()
        while time.thread_time() < began + BUSY_SECONDS:
            pass
        await asyncio.sleep(0)
    assert len(found) == 2


async def test_waiting_is_not_blocking() -> None:
    found: list[str] = []
    with watched(found):
        await asyncio.sleep(HELD_SECONDS)
        await asyncio.to_thread(time.sleep, HELD_SECONDS)
    assert found == []
