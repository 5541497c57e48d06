"""What holds for every unit test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scow.core.plain_structlog  # noqa: F401  logs as services write them: rich takes long over a traceback
from tests.support.event_loop import watched


@pytest.fixture(autouse=True)
def event_loop_stays_free(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that blocks an event loop; `blocks_event_loop` marks one that does it to see what happens."""
    if request.node.get_closest_marker("asyncio") is None:
        yield
        return
    found: list[str] = []
    with watched(found):
        yield
    if request.node.get_closest_marker("blocks_event_loop") is None:
        assert not found, f"the event loop was blocked: {found}"
