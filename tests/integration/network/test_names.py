"""The name server as a container meets it: in a namespace, at 127.0.0.11, asked by dnspython and by the C library."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from scow.network.dns import listener, message
from scow.network.dns.records import Member, Records
from scow.network.dns.server import Scope, Server
from scow.network.dns.upstream import Upstream
from tests.integration.network.machines import Namespace
from tests.unit.network.dns.test_upstream import NameServer, silent

_T = TypeVar("_T")
_SECONDS = 10


class House:
    """A server, what it knows, and containers that ask it."""

    def __init__(self, outside: NameServer) -> None:
        self.outside = outside
        self.records = Records()
        self.upstream = Upstream(outside.port, total=0.5, again=0.2)
        self.server = Server(self.records, self.upstream, lambda: [outside.address])
        self.namespaces: list[Namespace] = []

    def know(self, number: int, *names: str) -> None:
        address = ipaddress.ip_address(f"10.0.0.{number}")
        self.records.put(Member(f"e{number}", "n", "net", names, (address,)))

    async def container(self, scope: Scope | None = None) -> Namespace:
        namespace = Namespace()
        self.namespaces.append(namespace)
        await self.listen(namespace, scope or Scope(("n",)))
        return namespace

    async def listen(self, namespace: Namespace, scope: Scope) -> None:
        descriptor = os.open(namespace.path, os.O_RDONLY)
        made = await listener.listen(descriptor)
        os.close(descriptor)
        await self.server.open(namespace.path, made, scope)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    outside = NameServer("127.0.0.2")
    made = House(outside)
    yield made
    await made.server.close_all()
    outside.close()
    for namespace in made.namespaces:
        namespace.end()


async def inside(namespace: Namespace, call: Callable[[], _T]) -> _T:
    return await asyncio.to_thread(namespace.call, call)


async def ask(
    namespace: Namespace, name: str, kind: str = "A", stream: bool = False, **options: object
) -> dns.message.Message:
    question = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    by = dns.query.tcp if stream else dns.query.udp
    return await inside(namespace, lambda: by(question, "127.0.0.11", _SECONDS))


def texts(answer: dns.message.Message) -> list[str]:
    return [str(one) for found in answer.answer for one in found]


async def test_names_by_both_transports(house: House) -> None:
    house.know(2, "web", "www")
    client = await house.container()
    for stream in (False, True):
        assert texts(await ask(client, "web", stream=stream)) == ["10.0.0.2"]
        assert texts(await ask(client, "WWW.net", stream=stream)) == ["10.0.0.2"]
        answer = await ask(client, "web", "AAAA", stream=stream)
        assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
        assert texts(await ask(client, "2.0.0.10.in-addr.arpa", "PTR")) == ["web.net."]
    assert texts(await ask(client, "far.example", stream=True)) == ["10.0.0.2"], "from outside"
    assert house.outside.asked == 1


async def test_the_c_library(house: House, tmp_path: Path) -> None:
    house.know(2, "web")
    client = await house.container()
    # Who has no address but loopback's is not told of others.
    client.run("ip addr add 10.0.0.9/24 dev lo")
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.11\noptions ndots:0\n")
    asked = f"mount --bind {file} /etc/resolv.conf && getent ahostsv4"
    for name in ("web", "far.example"):
        found = await asyncio.to_thread(client.run, f"unshare -m sh -c '{asked} {name}'")
        assert found.startswith("10.0.0.2 ")


async def test_many_addresses_are_cut_and_come_whole_by_tcp(house: House) -> None:
    for number in range(2, 202):
        house.know(number, f"c{number}", "all")
    client = await house.container()
    cut = await ask(client, "all")
    assert cut.flags & dns.flags.TC
    assert 20 < len(texts(cut)) < 40
    assert 70 < len(texts(await ask(client, "all", use_edns=0, payload=1400))) < 100
    assert len(texts(await ask(client, "all", stream=True))) == 200


async def test_names_change_while_containers_run(house: House) -> None:
    client = await house.container(Scope(("n",), forwards=False))
    assert (await ask(client, "web")).rcode() == dns.rcode.SERVFAIL
    house.know(2, "web")
    for _ in range(2):  # the second answer is remembered
        assert texts(await ask(client, "web")) == ["10.0.0.2"]
    house.know(3, "web")
    assert len(texts(await ask(client, "web"))) == 2
    house.records.remove("e3")
    house.records.remove("e2")
    assert (await ask(client, "web")).rcode() == dns.rcode.SERVFAIL
    assert house.outside.asked == 0
    house.server.set_scope(client.path, Scope(("n",), qualified=True))
    assert (await ask(client, "web")).rcode() == dns.rcode.NXDOMAIN
    assert texts(await ask(client, "web.example")) == ["10.0.0.2"]


async def test_names_of_a_containers_own(house: House) -> None:
    house.know(2, "postgres")
    links = {message.name_to_wire("db"): message.name_to_wire("postgres")}
    one = await house.container(Scope(("n",), forwards=False, links=links))
    other = await house.container(Scope(("n",), forwards=False))
    assert texts(await ask(one, "db")) == ["10.0.0.2"]
    assert (await ask(other, "db")).rcode() == dns.rcode.SERVFAIL


async def test_a_container_may_be_a_name_server(house: House) -> None:
    house.know(2, "web")
    client = await house.container()

    def listen() -> None:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as one:
                one.bind(("0.0.0.0", 53))
                if kind == socket.SOCK_STREAM:
                    one.listen()

    await inside(client, listen)
    assert texts(await ask(client, "web")) == ["10.0.0.2"]


async def test_while_the_server_is_away_questions_wait(house: House) -> None:
    house.know(2, "web")
    client = await house.container()
    await house.server.close(client.path)
    question = dns.message.make_query("web", "A").to_wire()

    def send() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("127.0.0.11", 53))
        one.settimeout(_SECONDS)
        one.send(question)
        return one

    waiting = await inside(client, send)
    await house.listen(client, Scope(("n",)))
    # An error of the port's would be told now.
    waiting.send(question)
    answer = await asyncio.to_thread(waiting.recv, 512)
    assert texts(dns.message.from_wire(answer)) == ["10.0.0.2"]
    waiting.close()


async def test_a_flood_is_slow_for_its_container_alone(house: House) -> None:
    house.know(2, "web")
    flooding = await house.container()
    quiet = await house.container()
    house.outside.answer = silent
    known = dns.message.make_query("web", "A").to_wire()
    unknown = [dns.message.make_query(f"n{n}.example", "A").to_wire() for n in range(500)]

    def open_socket() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("127.0.0.11", 53))
        one.setblocking(False)
        return one

    source = await inside(flooding, open_socket)
    stop = False

    def flood() -> int:
        sent = 0
        while not stop:
            for question in (known, unknown[sent % 500], b"rubbish"):
                try:
                    source.send(question)
                except BlockingIOError:
                    continue
            sent += 1
        return sent

    running = asyncio.create_task(asyncio.to_thread(flood))
    try:
        for _ in range(20):
            assert texts(await ask(quiet, "web")) == ["10.0.0.2"]
    finally:
        stop = True
    assert await running > 20
    source.close()
    # What one container waits for is bounded, and so is what is asked elsewhere for it.
    assert len(house.upstream._asked) <= 50


async def test_rubbish(house: House) -> None:
    house.know(2, "web")
    client = await house.container()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            for packet in (
                b"",
                b"\0",
                b"\0" * 4096,
                bytes.fromhex("0001010000010000") + b"\xc0\x0c",
            ):
                one.sendto(packet, ("127.0.0.11", 53))
        for packet in (b"", b"\0", b"\xff\xff", b"\0\5hello"):
            with socket.create_connection(("127.0.0.11", 53), _SECONDS) as stream:
                stream.sendall(packet)

    await inside(client, send)
    assert texts(await ask(client, "web")) == ["10.0.0.2"]
    assert (await ask(client, "web", "A", rdclass="CH")).rcode() == dns.rcode.REFUSED
    assert (await ask(client, "web", use_edns=1)).rcode() == dns.rcode.BADVERS
