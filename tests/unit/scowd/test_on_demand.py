"""The socket of a service that is started when somebody connects, and the relay for those who came before it."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.scowd.on_demand import OnDemandSocket

_MANY = 4 << 20


@pytest.fixture
def on_demand(tmp_path: Path) -> Iterator[OnDemandSocket]:
    found = OnDemandSocket(tmp_path / "build.sock")
    yield found
    found.close()


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(path))
    return client


def serving(path: Path) -> socket.socket:
    """Put a socket in the place of the on_demand's, as a service does."""
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(20)
    new = path.with_suffix(".new")
    listener.bind(str(new))
    listener.listen()
    new.rename(path)
    return listener


def received(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    return data


def reap() -> None:
    pid, status = os.waitpid(-1, 0)
    assert pid > 0
    assert os.waitstatus_to_exitcode(status) == 0


def test_nobody_else_may_connect(on_demand: OnDemandSocket) -> None:
    on_demand.open()
    assert stat.S_IMODE(on_demand.path.stat().st_mode) == 0o660


def test_who_came_before_the_service_is_relayed(on_demand: OnDemandSocket) -> None:
    on_demand.open()
    early = [connected(on_demand.path) for _ in range(3)]
    for number, client in enumerate(early):
        client.sendall(b"early %d" % number)
    with serving(on_demand.path) as listener:
        on_demand.relay()
        assert on_demand.listener is None
        for client in early:
            connection, _ = listener.accept()
            with connection, client:
                said = connection.recv(100)
                connection.sendall(said.upper())
                connection.shutdown(socket.SHUT_WR)
                assert received(client) == said.upper()
                client.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b""
    reap()


def test_much_is_relayed_in_both_directions_at_once(on_demand: OnDemandSocket) -> None:
    on_demand.open()
    client = connected(on_demand.path)
    with serving(on_demand.path) as listener:
        on_demand.relay()
        connection, _ = listener.accept()
        there, back = os.urandom(_MANY), os.urandom(_MANY)
        sending = [
            threading.Thread(target=client.sendall, args=(there,)),
            threading.Thread(target=connection.sendall, args=(back,)),
        ]
        found: dict[str, bytes] = {}

        def read(name: str, end: socket.socket) -> None:
            data = bytearray()
            while len(data) < _MANY:
                data += end.recv(1 << 16)
            found[name] = bytes(data)

        reading = [
            threading.Thread(target=read, args=("there", connection)),
            threading.Thread(target=read, args=("back", client)),
        ]
        for thread in [*sending, *reading]:
            thread.start()
        for thread in [*sending, *reading]:
            thread.join()
        assert found == {"there": there, "back": back}
        client.close()
        assert received(connection) == b""
        connection.close()
    reap()


def test_without_a_service_those_who_wait_are_hung_up_on(on_demand: OnDemandSocket) -> None:
    on_demand.open()
    client = connected(on_demand.path)
    on_demand.path.unlink()
    on_demand.relay()
    assert received(client) == b""
    reap()


def test_it_opens_again_in_the_place_of_a_service(on_demand: OnDemandSocket) -> None:
    on_demand.open()
    with serving(on_demand.path):
        on_demand.relay()
        reap()
        listener = on_demand.open()
        with connected(on_demand.path):
            connection, _ = listener.accept()
            connection.close()
