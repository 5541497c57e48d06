"""The service's spawner: one that has ended is followed by another when it is needed."""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.container.runtime.spawner import Spawner
from tests.integration.container.node import Node
from tests.support import processes


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="scow-spawner-") as name:
        yield Path(name)
        processes.wait_for(lambda: not processes.mentioning(name), "the end of the spawner")


async def test_asking_just_as_it_ends(folder: Path) -> None:
    spawner = Spawner(folder / "s.sock", folder / "cache", folder / "log", idle=0.05)
    for _ in range(30):
        await spawner.ensure()
        await asyncio.sleep(0.05 + random.uniform(-0.003, 0.003))


async def test_two_services_ask_as_it_ends(folder: Path) -> None:
    """Each starts a spawner; the one that finds the other's is no error."""
    spawners = [
        Spawner(folder / "s.sock", folder / "cache", folder / "log", idle=0.05) for _ in range(2)
    ]
    for _ in range(5):
        await asyncio.gather(*(spawner.ensure() for spawner in spawners))
        await asyncio.sleep(0.05)


def test_it_ends_after_the_engine() -> None:
    with Node(SCOW_CONTAINER_SPAWNER_IDLE_SECONDS="0.5") as node:
        first = node.spawner_pid()
        container = node.run_detached("sleep", "1000")
        node.stop("container", signal.SIGTERM)
        node.start("container")
        assert node.spawner_pid() == first, "it has a container"
        node.remove(container.id)
        node.stop("container", signal.SIGTERM)
        processes.wait_for(lambda: not processes.alive(first), "the end of the spawner")
        node.start("container")
        assert node.output("echo", "again") == (0, "again\n")
