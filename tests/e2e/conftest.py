"""An engine for each test process, with a busybox image in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.busybox import import_busybox
from tests.support.engine import ACCEPT_ALL, Engine


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[Engine]:
    """One engine for all tests of this process that leave it as they found it."""
    with Engine() as engine:
        import_busybox(engine)
        engine.cli("image", "pin", "busybox")  # prunes under test leave it
        yield engine


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """The shared engine, without the containers and networks that the test leaves."""
    yield shared_engine
    shared_engine.policy.write_text(ACCEPT_ALL)
    listed = shared_engine.cli("ps", "-aq").stdout.split()
    if listed:
        shared_engine.cli("rm", "-f", "-v", *listed)
    if shared_engine.cli("network", "ls", "-q", "-f", "type=custom").stdout:
        shared_engine.cli("network", "prune", "-f")


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """An engine for this test alone: for tests that kill parts of it."""
    with Engine() as engine:
        import_busybox(engine)
        yield engine
