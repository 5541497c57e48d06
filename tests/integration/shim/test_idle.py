"""The spawner ends when nobody needs it, and loses no request on the way."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.shim.bundles import config
from tests.integration.shim.drive import Spawner
from tests.support.processes import PATIENCE

MakeSpawner = Callable[..., Spawner]
_IDLE = 0.2


@pytest.fixture
def idle() -> Iterator[MakeSpawner]:
    """Make spawners that end when they are idle."""
    made: list[Spawner] = []

    def make(seconds: float = _IDLE) -> Spawner:
        made.append(Spawner("--idle-seconds", str(seconds)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ends(spawner: Spawner) -> bool:
    """Wait for the end of the spawner; it must end well."""
    return spawner.process.wait(20 * PATIENCE) == 0


def test_it_ends_when_nobody_asks(idle: MakeSpawner) -> None:
    assert ends(idle())


def test_it_stays_while_it_has_a_shim(idle: MakeSpawner) -> None:
    spawner = idle()
    container = spawner.box(config(args=["sleep", str(6 * _IDLE)])).start()
    assert container.wait().code == 0
    assert spawner.process.poll() is None
    container.end()
    assert ends(spawner)


def test_it_stays_while_it_is_asked(idle: MakeSpawner) -> None:
    spawner = idle()
    until = time.monotonic() + 4 * _IDLE
    while time.monotonic() < until:
        assert spawner.pid() == spawner.process.pid
    assert ends(spawner)


def test_it_ends_when_its_socket_was_deleted(idle: MakeSpawner) -> None:
    spawner = idle()
    container = spawner.box(config(args=["sleep", "1000"])).start()
    shutil.move(spawner.socket, spawner.home / "elsewhere")
    assert ends(spawner), "nobody can reach it, though it has a shim"
    assert container.execute("true").finish().code == 0
    container.end()


def test_what_has_connected_is_answered(idle: MakeSpawner) -> None:
    """Asking just as it ends: refused at once, or answered; never left without an answer."""
    spawner = idle(0.05)
    refused = 0
    for _ in range(200):
        try:
            pid = spawner.pid()
        except (FileNotFoundError, ConnectionRefusedError):
            refused += 1
            assert ends(spawner)
            if refused == 8:
                return
            spawner.start()
        else:
            assert pid == spawner.process.pid
            time.sleep(0.05 + random.uniform(-0.003, 0.003))
    assert refused, "it never ended"
