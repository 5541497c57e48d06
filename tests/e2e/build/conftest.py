"""A client of the shared engine, for builds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scow.client import Client
from tests.support import processes
from tests.support.engine import Engine


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with Client(engine.host) as found:
        yield found
        # Of a build that was cut, they go after its call has ended.
        processes.wait_for(lambda: not found.containers.list(all=True), "the end of containers")
