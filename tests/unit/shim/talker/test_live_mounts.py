"""The child that mounts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from scow.shim.talker import live_mounts
from scow.shim.talker.container import RUNNING, Container


@pytest.fixture
def container() -> Container:
    return cast("Container", SimpleNamespace(pid=os.getpid(), status=RUNNING))


async def test_a_cancelled_change_leaves_no_process(container: Container) -> None:
    told, tell = os.pipe()

    def work(enter: Callable[[], None]) -> None:
        os.write(tell, os.getpid().to_bytes(4, "little"))
        os.close(tell)
        os.read(os.pipe()[0], 1)  # never ends

    changing = asyncio.ensure_future(live_mounts._in_child(container, work))
    await asyncio.sleep(0)
    child = int.from_bytes(await asyncio.to_thread(os.read, told, 4), "little")
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - nothing is waited for
    os.close(told)
    os.close(tell)


async def test_descriptors_are_closed(container: Container) -> None:
    before = len(os.listdir("/proc/self/fd"))
    await live_mounts._in_child(container, lambda _: None)
    assert len(os.listdir("/proc/self/fd")) == before
