"""Datagrams by the batch, over loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from scow.network.dns.packets import BATCH, SIZE, Packets


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        yield one


def asking(server: socket.socket) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect(server.getsockname())
    one.settimeout(10)
    return one


def test_everybody_gets_his_answer(server: socket.socket) -> None:
    packets = Packets()
    with asking(server) as first, asking(server) as second:
        for number in range(BATCH):
            (first if number % 2 else second).send(b"q%d" % number)
        first.send(b"late")
        questions = packets.receive(server.fileno())
        assert questions == [b"q%d" % number for number in range(BATCH)]
        assert packets.peer(1) == first.getsockname()
        for number, question in enumerate(questions):
            if number != 5:
                packets.answer(number, question * 2)
        packets.send(server.fileno())
        assert packets.receive(server.fileno()) == [b"late"]
        packets.answer(0, b"x" * SIZE)
        packets.send(server.fileno())
        assert packets.receive(server.fileno()) == []
        own = [first.recv(SIZE + 1) for _ in range(BATCH // 2)]
        assert own == [b"q%d" % n * 2 for n in range(1, BATCH, 2) if n != 5] + [b"x" * SIZE]
        assert [second.recv(100) for _ in range(BATCH // 2)][-1] == b"q30q30"


def test_what_cannot_be_sent_keeps_nothing_back(server: socket.socket) -> None:
    packets = Packets()
    with asking(server) as one:
        # Whoever asks from port 0 cannot be answered: as if the kernel refused.
        for question in (b"a", b"b", b"c"):
            one.send(question)
        assert len(packets.receive(server.fileno())) == 3
        packets._questions.names[16 + 2 : 16 + 4] = bytes(2)
        for number in range(3):
            packets.answer(number, b"%d" % number)
        packets.send(server.fileno())
        assert [one.recv(10), one.recv(10)] == [b"0", b"2"]


def test_nobody_is_there_any_more(server: socket.socket) -> None:
    packets = Packets()
    descriptor = server.fileno()
    server.close()
    assert packets.receive(descriptor) == []
    packets.send(descriptor)


def test_what_was_left_of_a_batch_is_not_sent_to_others(server: socket.socket) -> None:
    packets = Packets()
    with asking(server) as first, asking(server) as second:
        first.send(b"first")
        packets.receive(server.fileno())
        packets.answer(0, b"unsent")  # as if the next question had met a fault
        second.send(b"second")
        packets.receive(server.fileno())
        packets.answer(0, b"answer")
        packets.send(server.fileno())
        assert second.recv(100) == b"answer"
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(100)
