"""The way of a list of changes from the thread that looks to who wants them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scow.api.image.v1 import layer_pb2 as pb
from scow.image.layers.diff.changes import _Channel


async def test_the_loop_rests_while_a_client_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = _Channel()
    for _ in range(2):
        await asyncio.to_thread(channel.put, pb.ListChangesResponse())
    channel.end()
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select, waits = selector.select, []

    def spy(timeout: float | None = None) -> Any:
        waits.append(timeout)
        return select(timeout)

    monkeypatch.setattr(selector, "select", spy)
    resting = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, resting.set)
    await resting.wait()
    assert any(timeout for timeout in waits)
    assert [await channel.get() is not None for _ in range(3)] == [True, True, False]
