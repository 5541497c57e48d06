"""The build service runs only while somebody needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import Client
from tests.support import processes
from tests.support.building import build, files
from tests.support.busybox import import_busybox
from tests.support.engine import Engine

_NAME = "scow-build"


@pytest.fixture(scope="module")
def hasty() -> Iterator[Engine]:
    """An engine whose build service ends when it had no call for a moment."""
    with Engine({"SCOW_BUILD_IDLE_SECONDS": "0.3"}) as engine:
        import_busybox(engine)
        yield engine


def runs(engine: Engine) -> bool:
    children = [pid for pid in processes.children(engine.pid) if processes.alive(pid)]
    return _NAME in map(processes.name, children)


def test_it_is_started_by_a_call_and_ends_without_one(hasty: Engine, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN echo made > /made\n"
    assert not runs(hasty)
    with Client(hasty.host) as client:
        assert build(client, files(tmp_path), text).cached == []
        for _ in range(3):
            processes.wait_for(lambda: not runs(hasty), "the end of the build service")
            assert build(client, tmp_path, text).cached == ["RUN echo made > /made"]
