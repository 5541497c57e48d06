"""The init's output in the keeper: positions, what the log lacks, and attachments after the end."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.shim.keeper import link
from scow.shim.keeper.logfile import LogFile
from scow.shim.keeper.output import Output

EVERYTHING = link.WANTS_STDOUT | link.WANTS_STDERR


class Init:
    """The writing ends of an init's pipes, and an output that reads them."""

    def __init__(self, log: LogFile | None) -> None:
        self.output = Output(select.epoll(), log)
        self._reading: dict[bytes, int] = {}
        self._writing: dict[bytes, int] = {}
        for kind in (link.STDOUT, link.STDERR):
            self._reading[kind], self._writing[kind] = os.pipe()
            self.output.add_source(self._reading[kind], kind)
        self.output.start()

    def write(self, kind: bytes, data: bytes) -> None:
        os.write(self._writing[kind], data)
        self.output.readable(self._reading[kind])

    def attach(self, mask: int) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(10)
        self.output.attach(theirs.detach(), mask)
        return ours

    def end(self) -> None:
        for fd in self._writing.values():
            os.close(fd)
        self._writing.clear()
        self.output.finish()


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    return LogFile(str(tmp_path / "log"))


@pytest.fixture
def init(log: LogFile) -> Iterator[Init]:
    made = Init(log)
    yield made
    made.end()


def received(session: socket.socket) -> tuple[dict[str, int], list[tuple[bytes, bytes]]]:
    """Return the position of a session that has ended, and its output."""
    with session:
        packets = list(iter(lambda: session.recv(1 << 17), b""))
    (kind, place), *pieces, end = ((packet[:1], packet[1:]) for packet in packets)
    assert (kind, end) == (link.ATTACHED, (link.END, b""))
    return link.parse_position(place), pieces


def test_a_session_that_follows_the_log_begins_with_unfinished_lines(
    init: Init, log: LogFile
) -> None:
    init.write(link.STDOUT, b"line\nbegun")
    init.write(link.STDERR, b"err")
    after_log = init.attach(link.WANTS_STDOUT | link.WANTS_UNLOGGED)
    now = init.attach(EVERYTHING)
    init.write(link.STDOUT, b" and ended\n")
    init.end()
    assert received(after_log) == (
        {"run": log.run, "stdout": 5, "stderr": 0},
        [(link.STDOUT, b"begun"), (link.STDOUT, b" and ended\n")],
    )
    assert received(now) == (
        {"run": log.run, "stdout": 10, "stderr": 3},
        [(link.STDOUT, b" and ended\n")],
    )


def test_a_session_after_the_end_is_told_how_much_there_was(init: Init, log: LogFile) -> None:
    init.write(link.STDOUT, b"all of it")
    init.end()
    late = init.attach(EVERYTHING | link.WANTS_UNLOGGED)
    assert received(late) == ({"run": log.run, "stdout": 9, "stderr": 0}, [])


def test_without_a_log_a_run_has_a_number_too() -> None:
    one, other = Init(None), Init(None)
    sessions = [each.attach(EVERYTHING | link.WANTS_UNLOGGED) for each in (one, other)]
    one.end()
    other.end()
    first, second = (received(session)[0]["run"] for session in sessions)
    assert 0 < first < second


def test_a_session_that_is_gone_at_once_is_dropped(init: Init) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    init.write(link.STDOUT, b"begun")
    init.output.attach(theirs.detach(), EVERYTHING | link.WANTS_UNLOGGED)
    assert not init.output.sessions
