"""Name servers that answer, are slow, dead, wrong, or ask back: real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable

import dns.flags
import dns.message
import pytest

from scow.network.dns import message
from scow.network.dns.places import HERE, beside
from scow.network.dns.upstream import UnansweredError, Upstream
from tests.unit.network.dns.test_message import reply, wire

Answer = Callable[[bytes], list[bytes]]


class NameServer:
    """A name server on an address of loopback; `answer` returns what is sent back."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.asked = 0
        self.streams = 0
        # Whether answers go to where the first question came from.
        self.to_first = False
        self.peers: list[tuple[str, int]] = []
        self.answer: Answer = self.good
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._socket.setblocking(False)
        self.address, self.port = self._socket.getsockname()
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        self._server: asyncio.Server | None = None

    def good(self, query: bytes) -> list[bytes]:
        name = dns.message.from_wire(query).question[0].name
        return [reply(query, f"{name} 60 IN A 10.0.0.{int(self.address.split('.')[-1])}")]

    def _read(self) -> None:
        query, peer = self._socket.recvfrom(2000)
        self.asked += 1
        self.peers.append(peer)
        for answer in self.answer(query):
            self._socket.sendto(answer, self.peers[0] if self.to_first else peer)

    async def serve_streams(self, records: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.streams += 1
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            query = await reader.readexactly(size)
            name = dns.message.from_wire(query).question[0].name
            made = reply(query, *(f"{name} 60 IN A 10.0.{n}.1" for n in range(records)))
            writer.write(struct.pack("!H", len(made)) + made)
            await writer.drain()
            writer.close()

        self._server = await asyncio.start_server(serve, self.address, self.port)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        if self._server is not None:
            self._server.close()


@pytest.fixture
async def first() -> AsyncIterator[NameServer]:
    server = NameServer("127.0.0.2")
    yield server
    server.close()


@pytest.fixture
async def second(first: NameServer) -> AsyncIterator[NameServer]:
    server = NameServer("127.0.0.3", first.port)
    yield server
    server.close()


@pytest.fixture
async def upstream(first: NameServer) -> AsyncIterator[Upstream]:
    """One that asks once, however slow this machine is."""
    made = Upstream(first.port, total=60, again=30)
    yield made
    await made.close()


@pytest.fixture
async def hasty(first: NameServer) -> AsyncIterator[Upstream]:
    """One that soon asks again, and soon has enough."""
    made = Upstream(first.port, total=0.5, again=0.1)
    yield made
    await made.close()


def silent(query: bytes) -> list[bytes]:
    return []


def addresses(data: bytes) -> list[str]:
    return [str(one) for found in dns.message.from_wire(data).answer for one in found]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it is the other side's state
            await asyncio.sleep(0.005)


QUERY = message.parse(wire("a.example", use_edns=0))


async def test_an_answer_is_kept(upstream: Upstream, first: NameServer) -> None:
    servers = [first.address]
    assert upstream.kept(servers, QUERY) is None
    assert addresses(await upstream.ask(servers, QUERY)) == ["10.0.0.2"]
    kept = upstream.kept(servers, message.parse(wire("A.EXAMPLE", use_edns=0)))
    assert kept is not None
    assert addresses(kept) == ["10.0.0.2"]
    assert upstream.kept(servers, message.parse(wire("a.example"))) is None, "without EDNS"
    assert upstream.kept(["127.0.0.9"], QUERY) is None, "another server's"


async def test_the_same_question_is_asked_once(upstream: Upstream, first: NameServer) -> None:
    asking = [upstream.ask([first.address], QUERY) for _ in range(20)]
    assert len(set(await asyncio.gather(*asking))) == 1
    assert first.asked == 1


async def test_who_waits_for_the_same_answer_may_go(upstream: Upstream, first: NameServer) -> None:
    leaving = asyncio.create_task(upstream.ask([first.address], QUERY))
    staying = asyncio.create_task(upstream.ask([first.address], QUERY))
    await asyncio.sleep(0)
    leaving.cancel()
    assert addresses(await staying) == ["10.0.0.2"]


async def test_a_silent_server_is_asked_no_more(
    hasty: Upstream, first: NameServer, second: NameServer
) -> None:
    servers = [first.address, second.address]
    first.answer = silent
    assert addresses(await hasty.ask(servers, QUERY)) == ["10.0.0.3"]
    # The trial was not answered either.
    await until(lambda: (HERE, first.address) in hasty._down)
    asked = second.asked
    await hasty.ask(servers, message.parse(wire("b.example")))
    assert second.asked == asked + 1
    first.answer = first.good
    # The trial under way was sent before; questions begin the next one.
    async with asyncio.timeout(10):
        while (HERE, first.address) in hasty._down:
            await hasty.ask(servers, message.parse(wire("c.example")))
            await asyncio.sleep(0.01)


async def test_no_server_counts_as_down_for_a_container_that_is_gone(
    hasty: Upstream, first: NameServer
) -> None:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    place = beside(one, "gone")
    one.close()
    with pytest.raises(UnansweredError):
        await hasty.ask([first.address], QUERY, place=place)
    await until(lambda: not hasty._trials)
    assert not hasty._down


async def test_all_are_silent(hasty: Upstream, first: NameServer) -> None:
    first.answer = silent
    with pytest.raises(UnansweredError):
        await hasty.ask([first.address], QUERY)
    assert first.asked >= 2, "a packet may have been lost"
    await until(lambda: (HERE, first.address) in hasty._down)
    asked = first.asked
    with pytest.raises(UnansweredError):
        await hasty.ask([first.address], QUERY)
    assert first.asked == asked, "it failed at once"


async def test_slow_names_do_not_count_against_a_server(hasty: Upstream, first: NameServer) -> None:
    def only_others(query: bytes) -> list[bytes]:
        return [] if b"\4slow" in query else first.good(query)

    first.answer = only_others
    with pytest.raises(UnansweredError):
        await hasty.ask([first.address], message.parse(wire("slow.example")))
    await until(lambda: not hasty._trials)
    assert addresses(await hasty.ask([first.address], QUERY)) == ["10.0.0.2"]


async def test_a_closed_port_is_told_at_once(upstream: Upstream, second: NameServer) -> None:
    with pytest.raises(UnansweredError):
        await upstream.ask(["127.0.0.4"], QUERY)
    servers = ["127.0.0.4", second.address]
    assert addresses(await upstream.ask(servers, QUERY)) == ["10.0.0.3"]


async def test_a_late_answer_counts(hasty: Upstream, first: NameServer) -> None:
    def late(query: bytes) -> list[bytes]:
        # What was asked first is answered when it has been asked again.
        held.append(query)
        return first.good(held[0]) if len(held) > 1 else []

    held: list[bytes] = []
    first.answer, first.to_first = late, True
    assert addresses(await hasty.ask([first.address], QUERY)) == ["10.0.0.2"]


async def test_a_server_that_fails_is_passed_over(
    upstream: Upstream, first: NameServer, second: NameServer
) -> None:
    first.answer = lambda query: [reply(query, rcode=message.SERVFAIL)]
    servers = [first.address, second.address]
    assert addresses(await upstream.ask(servers, QUERY)) == ["10.0.0.3"]
    failed = await upstream.ask([first.address], QUERY)
    assert message.code_of(failed) == message.SERVFAIL


async def test_answers_to_other_questions_are_not_believed(
    upstream: Upstream, first: NameServer
) -> None:
    def lies(query: bytes) -> list[bytes]:
        number = struct.unpack_from("!H", query)[0]
        guessed = struct.pack("!H", number ^ 1) + first.good(query)[0][2:]
        other = reply(wire("b.example", id=number, use_edns=0), "b.example. 60 IN A 6.6.6.6")
        broken = first.good(query)[0][:-3]
        return [guessed, other, query, b"", b"\0" * 600, broken, first.good(query)[0]]

    first.answer = lies
    assert addresses(await upstream.ask([first.address], QUERY)) == ["10.0.0.2"]


async def test_who_guesses_for_long_is_not_listened_to(
    upstream: Upstream, first: NameServer, second: NameServer
) -> None:
    first.answer = lambda query: [b"guess"] * 60
    servers = [first.address, second.address]
    assert addresses(await upstream.ask(servers, QUERY)) == ["10.0.0.3"]


async def test_a_server_that_asks_back(hasty: Upstream, first: NameServer) -> None:
    asked: list[asyncio.Task[bytes]] = []

    def ask_back(query: bytes) -> list[bytes]:
        asked.append(asyncio.create_task(hasty.ask([first.address], message.parse(query))))
        return []

    first.answer = ask_back
    with pytest.raises(UnansweredError):
        await hasty.ask([first.address], QUERY)
    assert first.asked <= 4, "each round asks once"
    await asyncio.gather(*asked, return_exceptions=True)


async def test_an_answer_that_is_cut_is_fetched_whole(
    upstream: Upstream, first: NameServer
) -> None:
    def cut(query: bytes) -> list[bytes]:
        answer = dns.message.make_response(dns.message.from_wire(query))
        answer.flags |= dns.flags.TC
        return [answer.to_wire()]

    first.answer = cut
    await first.serve_streams(records=100)
    assert message.is_truncated(await upstream.ask([first.address], QUERY))
    assert first.streams == 0, "who asked by UDP asks again by TCP"
    assert len(addresses(await upstream.ask([first.address], QUERY, stream=True))) == 100


async def test_too_many_questions(
    upstream: Upstream, first: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scow.network.dns.upstream._MAX_QUESTIONS", 3)
    first.answer = silent
    asking = [
        asyncio.create_task(upstream.ask([first.address], message.parse(wire(f"n{n}.example"))))
        for n in range(3)
    ]
    await asyncio.sleep(0)
    with pytest.raises(UnansweredError, match="too many"):
        await upstream.ask([first.address], QUERY)
    for task in asking:
        task.cancel()
