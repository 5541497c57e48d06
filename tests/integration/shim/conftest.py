"""A spawner for each test process, and containers that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.shim.drive import Box, Spawner

MakeBox = Callable[..., Box]


@pytest.fixture(scope="session")
def spawner() -> Iterator[Spawner]:
    """One spawner for the tests that leave it as they found it."""
    made = Spawner()
    yield made
    printed = made.printed()
    made.close()
    assert "Traceback" not in printed, printed


@pytest.fixture
def own_spawner() -> Iterator[Spawner]:
    """A spawner for this test alone."""
    made = Spawner()
    yield made
    made.close()


@pytest.fixture
def box(spawner: Spawner) -> Iterator[MakeBox]:
    """Make containers from configurations; they end with the test."""
    made: list[Box] = []

    def make(config: dict[str, Any] | None = None) -> Box:
        made.append(spawner.box(config))
        return made[-1]

    yield make
    for each in made:
        each.end()
