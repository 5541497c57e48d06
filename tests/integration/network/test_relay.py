"""Published ports by IPv6, where containers have IPv4 alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import SECONDS, Answerer, Namespace
from tests.integration.network.test_publish import conflict
from tests.support import processes

HOST, NEIGHBOUR = "2001:db8:5::1", "2001:db8:5::2"
WEB = PortMapping(host_port=8080, container_port=80)


@pytest.fixture
def dual(engine: Engine) -> Iterator[Engine]:
    """The engine on a host with an address of IPv6."""
    with addresses(engine):
        yield engine


@contextlib.contextmanager
def addresses(engine: Engine) -> Iterator[None]:
    machines = ((engine.host, HOST), (engine.neighbour, NEIGHBOUR))
    for machine, address in machines:
        machine.run(f"ip addr add {address}/64 dev wan nodad")
    yield
    for machine, address in machines:
        machine.run(f"ip addr del {address}/64 dev wan")


def relays(engine: Engine) -> list[int]:
    """Return the PIDs of the processes that relay for a service."""
    children = Path(f"/proc/{engine.service.pid}/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


@contextlib.contextmanager
def echo(where: Namespace, port: int) -> Iterator[None]:
    """A server that says "!" and sends back all it gets, after the end of it has come; one after another."""
    listener = where.call(lambda: socket.create_server(("0.0.0.0", port)))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"!")
                    got = b"".join(iter(lambda c=connection: c.recv(1 << 16), b""))  # type: ignore[misc]
                    connection.sendall(got)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(SECONDS)


def test_one_port_from_everywhere(dual: Engine) -> None:
    web, answer = dual.attach(ports=[WEB])
    assert [p.host_ip for p in answer.endpoint.ports] == ["0.0.0.0", "::"]
    with Answerer(web, "web", 80):
        for address in ("127.0.0.1", "::1", HOST):
            assert dual.host.fetch(address, 8080) == f"web {dual.gateway}"
        assert dual.neighbour.fetch(HOST, 8080) == f"web {dual.gateway}"
        dual.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))
        assert not dual.host.reaches("::1", 8080)


def test_ranges(dual: Engine) -> None:
    ports = [PortMapping(host_ip="::", host_port=9000, container_port=7000, count=300)]
    web, _ = dual.attach(ports=ports)
    with Answerer(web, "first", 7000), Answerer(web, "last", 7299):
        assert dual.host.fetch("::1", 9000).startswith("first ")
        assert dual.host.fetch("::1", 9299).startswith("last ")
        assert not dual.host.reaches("127.0.0.1", 9000)


def test_an_address_publishes_on_its_family_alone(dual: Engine) -> None:
    ports = [
        PortMapping(host_ip="::1", host_port=8081, container_port=80),
        PortMapping(host_ip="0.0.0.0", host_port=8082, container_port=80),
    ]
    web, _ = dual.attach(ports=ports)
    with Answerer(web, "web", 80):
        assert dual.host.reaches("::1", 8081)
        assert not dual.neighbour.reaches(HOST, 8081)
        assert not dual.host.reaches("127.0.0.1", 8081)
        assert dual.host.reaches("127.0.0.1", 8082)
        assert not dual.host.reaches("::1", 8082)


def test_a_program_that_has_the_port_by_ipv6(dual: Engine) -> None:
    def listen() -> socket.socket:
        return socket.create_server(("::1", 8080), family=socket.AF_INET6)

    with dual.host.call(listen):
        assert conflict(dual, WEB).which == "[::]:8080/tcp"
    dual.attach(ports=[WEB])


def test_all_bytes_and_both_ends_of_a_connection(dual: Engine) -> None:
    web, _ = dual.attach(ports=[WEB])
    data = os.urandom(8 << 20)

    def talk() -> bytes:
        with socket.create_connection(("::1", 8080), SECONDS) as one:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: one.recv(1 << 16), b""))

    with echo(web, 80):
        assert dual.host.call(talk) == b"!" + data


def test_a_container_that_does_not_listen(dual: Engine) -> None:
    dual.attach(ports=[WEB])
    with pytest.raises(ConnectionError):
        dual.host.fetch("::1", 8080)


def test_datagrams_find_their_way_back(dual: Engine) -> None:
    """By sockets that hear nobody but the address that they asked."""
    ports = [PortMapping(host_port=5353, container_port=53, protocol="udp")]
    web, _ = dual.attach(ports=ports)
    dual.host.run("ip addr add 2001:db8:5::9/64 dev wan nodad")
    with Answerer(web, "dns", 53, udp=True):
        for address in ("127.0.0.1", "::1", HOST, "2001:db8:5::9"):
            assert dual.host.ask(address, 5353).startswith("dns ")
        assert dual.neighbour.ask("2001:db8:5::9", 5353) == f"dns {dual.gateway}"
    dual.host.run("ip addr del 2001:db8:5::9/64 dev wan")


def test_a_restarted_owner_is_reached_again(dual: Engine) -> None:
    old, new = dual.container(), dual.container()
    request = pb.AttachRequest(owner=dual.owner(), netns_path=old.path, hostname="x", ports=[WEB])
    dual.stub.Attach(request)
    with Answerer(old, "old", 80):
        assert dual.host.fetch("::1", 8080).startswith("old ")
    request.netns_path = new.path
    dual.stub.Attach(request)
    with Answerer(new, "new", 80):
        assert dual.host.fetch("::1", 8080).startswith("new ")


def test_a_process_is_started_by_the_first_use_and_after_its_death(own_engine: Engine) -> None:
    web, _ = own_engine.attach(ports=[WEB])
    other, _ = own_engine.attach(ports=[PortMapping(host_port=8081, container_port=81)])
    with Answerer(web, "web", 80), Answerer(other, "other", 81):
        own_engine.host.fetch("127.0.0.1", 8080)
        assert relays(own_engine) == []
        for _ in range(2):
            assert own_engine.host.fetch("::1", 8080).startswith("web ")
            assert own_engine.host.fetch("::1", 8081).startswith("other ")
            [relay] = relays(own_engine)
            os.kill(relay, signal.SIGKILL)
            processes.wait_for(lambda: relays(own_engine) == [], "the relay's end is seen")


def test_connections_outlive_the_service(own_engine: Engine) -> None:
    web, _ = own_engine.attach(ports=[WEB])

    def connect() -> socket.socket:
        return socket.create_connection(("::1", 8080), SECONDS)

    with echo(web, 80), own_engine.host.call(connect) as one:
        one.sendall(b"before ")
        assert one.recv(1) == b"!"
        [relay] = relays(own_engine)
        own_engine.service.stop(signal.SIGKILL)
        own_engine.host.call(own_engine.service.start)
        with own_engine.host.call(connect) as another:
            another.shutdown(socket.SHUT_WR)
            one.sendall(b"after")
            one.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: one.recv(100), b"")) == b"before after"
            assert b"".join(iter(lambda: another.recv(100), b"")) == b"!"
        processes.wait_for(lambda: not Path(f"/proc/{relay}").exists(), "the end of the old relay")


def test_ports_that_some_may_use(dual: Engine) -> None:
    ports = [
        PortMapping(host_port=8080, container_port=80, allow=["2001:db8:6::/48"]),
        PortMapping(host_port=8081, container_port=80, allow=["192.0.2.0/24", NEIGHBOUR]),
        PortMapping(host_port=5353, container_port=53, protocol="udp", allow=["2001:db8:6::/48"]),
    ]
    web, _ = dual.attach(ports=ports)

    def refused() -> bool:
        try:
            with socket.create_connection((HOST, 8080), SECONDS) as one:
                return not one.recv(10)
        except OSError:
            return True

    with Answerer(web, "web", 80), Answerer(web, "dns", 53, udp=True):
        assert dual.neighbour.fetch(HOST, 8081).startswith("web ")
        assert dual.neighbour.call(refused)
        for address in ("::1", HOST):
            assert dual.host.fetch(address, 8080).startswith("web "), "the host itself may"
            assert dual.host.ask(address, 5353).startswith("dns ")
        with pytest.raises(TimeoutError):
            dual.neighbour.ask(HOST, 5353)


def test_a_port_that_is_taken_back_is_relayed_no_more(dual: Engine) -> None:
    web, answer = dual.attach(ports=[WEB, PortMapping(host_port=8081, container_port=80)])
    with Answerer(web, "web", 80):
        assert dual.neighbour.fetch(HOST, 8080).startswith("web ")
        gone = pb.UnpublishRequest(owner=answer.endpoint.owner, ports=[WEB])
        dual.stub.Unpublish(gone)
        assert not dual.neighbour.reaches(HOST, 8080)
        assert dual.neighbour.fetch(HOST, 8081).startswith("web ")
