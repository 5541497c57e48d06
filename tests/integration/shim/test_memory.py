"""What an idle shim costs, and that use does not make it grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shim.bundles import DEFAULT_SECCOMP, config
from tests.integration.shim.drive import Box, Spawner

# Of the keeper's own, beside what it shares with the spawner: about 2,100. CPython 3.11 writes a reference count into
# every object that it touches, which makes the page the keeper's own. The bound notices a library that comes on top
# (asyncio would take 1,900 more).
PRIVATE_KIB = 3_000
GROWTH_KIB = 500


def private_kib(box: Box) -> int:
    """Return the memory that a shim shares with nobody (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{box.ids.shim_pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


@pytest.fixture
def boxes(own_spawner: Spawner) -> Iterator[list[Box]]:
    made = config(args=["sleep", "1000"])
    made["linux"]["seccomp"] = DEFAULT_SECCOMP
    containers = [own_spawner.box(made).start() for _ in range(4)]
    yield containers
    for container in containers:
        container.end()


def test_an_idle_shim_is_small(boxes: list[Box]) -> None:
    sizes = [private_kib(container) for container in boxes]
    assert sorted(sizes)[len(sizes) // 2] < PRIVATE_KIB, sizes


def test_exec_sessions_do_not_add_up(boxes: list[Box]) -> None:
    container = boxes[0]
    for _ in range(20):
        container.output("true")
    before = private_kib(container)
    for _ in range(150):
        container.output("true")
    assert private_kib(container) - before < GROWTH_KIB
