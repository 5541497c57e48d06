"""Names on networks of the user, as the service gives them: who is found, by whom, and until when."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import dns.reversename
import pytest

from scow.api.network.v1 import network_pb2 as pb
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import SECONDS, Namespace
from tests.support import processes
from tests.unit.network.dns.test_message import reply


@pytest.fixture
def net(engine: Engine) -> Iterator[str]:
    """A network of the user's."""
    yield from made_network(engine, "net")


def made_network(engine: Engine, name: str, **fields: Any) -> Iterator[str]:
    engine.stub.Create(pb.CreateRequest(name=name, **fields))
    yield name
    engine.end_containers()
    engine.stub.Remove(pb.RemoveRequest(network=name))


def boxed(engine: Engine, name: str, **fields: object) -> tuple[Namespace, pb.AttachResponse]:
    """Make a container of a name."""
    namespace, answer = engine.attach(name=name, **fields)
    return namespace, answer


def ask(namespace: Namespace, name: str, kind: str = "A") -> dns.message.Message:
    question = dns.message.make_query(name, kind)
    return namespace.call(lambda: dns.query.udp(question, "127.0.0.11", SECONDS))


def texts(namespace: Namespace, name: str, kind: str = "A") -> list[str]:
    answer = ask(namespace, name, kind)
    assert answer.rcode() == dns.rcode.NOERROR, answer.to_text()
    return [str(one) for found in answer.answer for one in found]


class Outside:
    """A name server on port 53 in a namespace, which says 198.51.100.1 to everything."""

    def __init__(self, where: Namespace, address: str) -> None:
        self.asked: list[str] = []

        def listen() -> socket.socket:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, 53))
            return one

        self._socket = where.call(listen)
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(2000)
            if not query:
                return
            name = dns.message.from_wire(query).question[0].name
            self.asked.append(name.to_text())
            self._socket.sendto(reply(query, f"{name} 60 IN A 198.51.100.1"), peer)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it is not connected, and wakes up all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(SECONDS)
        self._socket.close()


@pytest.fixture
def outside(engine: Engine) -> Iterator[Outside]:
    made = Outside(engine.neighbour, "192.0.2.2")
    yield made
    made.close()


def test_containers_find_each_other(engine: Engine, net: str) -> None:
    web, answer = boxed(engine, "web", network=net, aliases=["www"], hostname="front")
    client, _ = boxed(engine, "client", network=net, dns=["127.0.0.2"])
    own = answer.endpoint.ip_address
    identity = answer.endpoint.owner.partition("/")[2]
    for name in ("web", "www", "front", identity, identity[:12], "web.net", "WEB"):
        assert texts(client, name) == [own], name
    assert texts(client, "web", "AAAA") == []
    assert texts(client, dns.reversename.from_address(own).to_text(), "PTR") == ["web.net."]
    assert texts(web, "web") == [own]
    text = Path(answer.resolv_conf_path).read_text()
    assert text.startswith("nameserver 127.0.0.11\n")
    assert "ndots:0" in text.split()


def test_networks_are_apart(engine: Engine, net: str, outside: Outside) -> None:
    _, web = boxed(engine, "web", network=net)
    for other in made_network(engine, "other"):
        stranger, _ = boxed(engine, "stranger", network=other, dns=["192.0.2.2"])
        assert texts(stranger, "web") == ["198.51.100.1"], "asked elsewhere"
        _, answer = engine.attach()
        assert "127.0.0.11" not in Path(answer.resolv_conf_path).read_text().split()
        both = pb.AttachRequest(owner=web.endpoint.owner, network=other, name="web")
        both.netns_path = engine._containers[0][0].path
        joined = engine.stub.Attach(both)
        assert texts(stranger, "web") == [joined.endpoint.ip_address]
        engine.stub.Detach(pb.DetachRequest(owner=web.endpoint.owner, network=other))
        assert texts(stranger, "web") == ["198.51.100.1"]


def test_an_alias_of_several_in_turn_and_who_ends_is_gone(engine: Engine, net: str) -> None:
    answers = [boxed(engine, f"c{n}", network=net, aliases=["app"])[1] for n in range(3)]
    client, _ = boxed(engine, "client", network=net, dns=["127.0.0.2"])
    all_of_them = {answer.endpoint.ip_address for answer in answers}
    firsts = {texts(client, "app")[0] for _ in range(6)}
    assert firsts == all_of_them
    engine.stub.Detach(pb.DetachRequest(owner=answers[0].endpoint.owner))
    assert set(texts(client, "app")) == all_of_them - {answers[0].endpoint.ip_address}
    assert ask(client, "c0").rcode() == dns.rcode.SERVFAIL


def test_who_is_asked_for_the_rest(engine: Engine, outside: Outside) -> None:
    for net in made_network(engine, "inner", internal=True):
        boxed(engine, "web", network=net)
        client, _ = boxed(engine, "client", network=net, dns=["192.0.2.2"])
        assert texts(client, "web")
        assert ask(client, "far.example").rcode() == dns.rcode.SERVFAIL
    assert outside.asked == []
    for net in made_network(engine, "outer"):
        client, _ = boxed(engine, "client", network=net, dns=["192.0.2.2"])
        picky, _ = boxed(engine, "picky", network=net, dns=["192.0.2.2"], dns_options=["ndots:1"])
        assert texts(client, "far.example") == ["198.51.100.1"]
        assert texts(client, "far.example") == ["198.51.100.1"]
        assert texts(client, "short") == ["198.51.100.1"]
        assert ask(picky, "other").rcode() == dns.rcode.NXDOMAIN
        assert ask(picky, ".", "NS").rcode() == dns.rcode.NOERROR
    assert outside.asked == ["far.example.", "short.", "."]


def test_own_servers_are_asked_from_the_containers_namespace(engine: Engine, net: str) -> None:
    box, _ = boxed(engine, "box", network=net, dns=["127.0.0.1"])
    twin, _ = boxed(engine, "twin", network=net, dns=["127.0.0.1"])
    own = Outside(box, "127.0.0.1")
    try:
        for _ in range(2):
            assert texts(box, "far.example") == ["198.51.100.1"]
        assert ask(twin, "far.example").rcode() == dns.rcode.SERVFAIL, "its 127.0.0.1 is another"
        assert own.asked == ["far.example."]
        question = dns.message.make_query("more.example", "A")
        answer = box.call(lambda: dns.query.tcp(question, "127.0.0.11", SECONDS))
        assert answer.answer, "asked over TCP, the answer of UDP is whole"
    finally:
        own.close()


def test_a_container_that_gets_names_while_it_runs(engine: Engine, net: str) -> None:
    boxed(engine, "web", network=net)
    for changed in (False, True):
        client, answer = boxed(engine, "client", dns=["192.0.2.9"])
        resolv = Path(answer.resolv_conf_path)
        inode = resolv.stat().st_ino
        assert resolv.read_text().startswith("nameserver 192.0.2.9\n")
        if changed:
            resolv.write_text("nameserver 192.0.2.10\n")
        request = pb.AttachRequest(owner=answer.endpoint.owner, network=net, name="client")
        request.MergeFrom(pb.AttachRequest(netns_path=client.path, dns=["192.0.2.9"]))
        engine.stub.Attach(request)
        assert texts(client, "web")
        first = resolv.read_text().split("\n")[0]
        assert first == ("nameserver 192.0.2.10" if changed else "nameserver 127.0.0.11")
        assert resolv.stat().st_ino == inode, "the one that is mounted"


def test_names_survive_the_service(own_engine: Engine) -> None:
    for net in made_network(own_engine, "net"):
        _, web = boxed(own_engine, "web", network=net)
        client, _ = boxed(own_engine, "client", network=net, dns=["127.0.0.2"])
        own_engine.service.stop(signal.SIGKILL)
        own_engine.host.call(own_engine.service.start)
        assert texts(client, "web") == [web.endpoint.ip_address]
        own_engine.stub.Detach(pb.DetachRequest(owner=web.endpoint.owner))
        assert ask(client, "web").rcode() == dns.rcode.SERVFAIL


def test_one_container_that_ended_leaves_the_others_their_name_server(own_engine: Engine) -> None:
    for net in made_network(own_engine, "net"):
        _, web = boxed(own_engine, "web", network=net)
        client, _ = boxed(own_engine, "client", network=net, dns=["127.0.0.2"])
        ended, _ = boxed(own_engine, "ended", network=net)
        own_engine.service.stop(signal.SIGKILL)
        ended.end()
        own_engine.host.call(own_engine.service.start)
        own_engine.reconcile()
        assert texts(client, "web") == [web.endpoint.ip_address]


def test_a_namespace_ends_with_its_container(engine: Engine, net: str) -> None:
    """The sockets of a name server would keep it."""
    client, answer = boxed(engine, "client", network=net)
    link = answer.endpoint.host_link
    engine.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))
    client.end()
    processes.wait_for(lambda: link not in engine.host.links(), "the link goes with the namespace")
