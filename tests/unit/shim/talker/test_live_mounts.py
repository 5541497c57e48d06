"""The child that mounts, and what is refused before there is one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from scow.contract.errors import InvalidMount
from scow.shim.talker import live_mounts
from scow.shim.talker.container import RUNNING, Container


@pytest.fixture
def container() -> Container:
    spec = SimpleNamespace(masked_paths=("/proc/kcore", "/sys/firmware"), readonly_paths=())
    return cast("Container", SimpleNamespace(pid=os.getpid(), status=RUNNING, spec=spec))


@pytest.mark.parametrize(
    "place", ["//proc/kcore", "/proc/x/../kcore", "//sys/firmware", "///proc", "//", "/sys/../"]
)
async def test_what_confines_stays(container: Container, place: str) -> None:
    with pytest.raises(InvalidMount, match="confinement"):
        await live_mounts.detach(container, place, force=True)


async def test_a_cancelled_change_leaves_no_process(container: Container) -> None:
    told, tell = os.pipe()

    def work(enter: Callable[[], None]) -> str:
        os.write(tell, os.getpid().to_bytes(4, "little"))
        os.close(tell)
        os.read(os.pipe()[0], 1)  # never ends
        return ""

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
    assert await live_mounts._in_child(container, lambda _: "/place") == "/place"
    assert len(os.listdir("/proc/self/fd")) == before
