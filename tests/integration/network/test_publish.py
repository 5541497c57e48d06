"""Published ports: every way to reach one, and every way to ask for a wrong one."""

from __future__ import annotations

import contextlib
import socket

import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import AddressInUse, NotConnected, PortNotPublished
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import SECONDS, Answerer
from tests.support import processes
from tests.support.service import from_rpc_error


def test_one_port_from_everywhere(engine: Engine) -> None:
    web, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    client, other = engine.attach()
    own = answer.endpoint.ip_address
    with Answerer(web, "web", 80):
        assert engine.host.fetch("127.0.0.1", 8080) == f"web {engine.gateway}"
        assert engine.host.fetch("127.0.0.77", 8080) == f"web {engine.gateway}"
        assert engine.host.fetch(engine.gateway, 8080).startswith("web ")
        assert engine.host.fetch("192.0.2.1", 8080).startswith("web ")
        # From another machine the container sees who it is.
        assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
        for address in (engine.gateway, "192.0.2.1"):
            assert client.fetch(address, 8080) == f"web {engine.gateway}"
            assert web.fetch(address, 8080) == f"web {engine.gateway}", "hairpin"
        assert client.fetch(own, 80) == f"web {other.endpoint.ip_address}"


def test_udp_from_everywhere(engine: Engine) -> None:
    ports = [PortMapping(host_port=5353, container_port=53, protocol="udp")]
    web, _ = engine.attach(ports=ports)
    with Answerer(web, "dns", 53, udp=True):
        for address in ("127.0.0.1", engine.gateway, "192.0.2.1"):
            assert engine.host.ask(address, 5353).startswith("dns ")
        assert engine.neighbour.ask("192.0.2.1", 5353) == "dns 192.0.2.2"
        assert web.ask("192.0.2.1", 5353) == f"dns {engine.gateway}", "hairpin"


def test_the_same_number_for_both_protocols(engine: Engine) -> None:
    web, _ = engine.attach(
        ports=[
            PortMapping(host_port=53, container_port=53, protocol="tcp"),
            PortMapping(host_port=53, container_port=5300, protocol="udp"),
        ]
    )
    with Answerer(web, "tcp", 53), Answerer(web, "udp", 5300, udp=True):
        assert engine.host.fetch("127.0.0.1", 53).startswith("tcp ")
        assert engine.host.ask("127.0.0.1", 53).startswith("udp ")


@pytest.mark.parametrize("inside", [9000, 7000])
def test_ranges(engine: Engine, inside: int) -> None:
    ports = [PortMapping(host_port=9000, container_port=inside, count=3)]
    web, answer = engine.attach(ports=ports)
    published = [(p.host_ip, p.host_port, p.count) for p in answer.endpoint.ports]
    assert published == [("0.0.0.0", 9000, 3), ("::", 9000, 3)]
    with contextlib.ExitStack() as stack:
        for number in range(3):
            stack.enter_context(Answerer(web, f"n{number}", inside + number))
        for number in range(3):
            assert engine.neighbour.fetch("192.0.2.1", 9000 + number) == f"n{number} 192.0.2.2"
        assert not engine.host.reaches("127.0.0.1", 9003)
        assert not engine.host.reaches("127.0.0.1", 8999)


def test_free_ports_are_chosen(engine: Engine) -> None:
    web, answer = engine.attach(
        ports=[PortMapping(container_port=80), PortMapping(container_port=90, count=3)]
    )
    single, single6, several, several6 = answer.endpoint.ports
    assert (single6.host_port, several6.host_port) == (single.host_port, several.host_port)
    assert single.host_port > 1023
    assert several.host_port > 1023
    assert several.count == 3
    with Answerer(web, "a", 80), Answerer(web, "b", 92):
        assert engine.host.fetch("127.0.0.1", single.host_port).startswith("a ")
        assert engine.host.fetch("127.0.0.1", several.host_port + 2).startswith("b ")


def test_one_address_of_the_host(engine: Engine) -> None:
    ports = [
        PortMapping(host_ip="127.0.0.1", host_port=8081, container_port=80),
        PortMapping(host_ip="192.0.2.1", host_port=8082, container_port=80),
    ]
    web, _ = engine.attach(ports=ports)
    client, _ = engine.attach()
    with Answerer(web, "web", 80):
        assert engine.host.fetch("127.0.0.1", 8081).startswith("web ")
        assert not engine.host.reaches("192.0.2.1", 8081)
        assert not client.reaches(engine.gateway, 8081)
        assert engine.neighbour.fetch("192.0.2.1", 8082) == "web 192.0.2.2"
        assert not engine.host.reaches("127.0.0.1", 8082)
        # A neighbour that sends 127.0.0.1 to the host's MAC address.
        engine.neighbour.run("sysctl -qw net.ipv4.conf.wan.route_localnet=1")
        engine.neighbour.run("ip addr del 127.0.0.1/8 dev lo")
        engine.neighbour.run("ip route add 127.0.0.1/32 via 192.0.2.1 dev wan")
        try:
            assert not engine.neighbour.reaches("127.0.0.1", 8081)
        finally:
            engine.neighbour.run("ip route del 127.0.0.1/32; ip addr add 127.0.0.1/8 dev lo")


def test_containers_do_not_reach_the_hosts_loopback(engine: Engine) -> None:
    container, _ = engine.attach()
    with Answerer(engine.host, "secret", 6000, address="127.0.0.1"):
        assert engine.host.reaches("127.0.0.1", 6000)
        container.run("sysctl -qw net.ipv4.conf.eth0.route_localnet=1")
        container.run("ip addr del 127.0.0.1/8 dev lo")
        container.run(f"ip route add 127.0.0.1/32 via {engine.gateway} dev eth0")
        assert not container.reaches("127.0.0.1", 6000)


def test_traffic_through_the_host_to_elsewhere_is_left_alone(engine: Engine) -> None:
    web, _ = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    client, _ = engine.attach()
    with Answerer(web, "web", 80), Answerer(engine.neighbour, "far", 8080):
        assert client.fetch("192.0.2.2", 8080) == "far 192.0.2.1"
        assert engine.host.fetch("192.0.2.2", 8080) == "far 192.0.2.1"


def conflict(engine: Engine, *ports: PortMapping) -> AddressInUse:
    with pytest.raises(grpc.RpcError) as caught:
        engine.attach(ports=ports)
    error = from_rpc_error(caught.value)
    assert isinstance(error, AddressInUse)
    return error


def test_a_port_that_another_container_has(engine: Engine) -> None:
    mapping = PortMapping(host_port=8080, container_port=80)
    web, answer = engine.attach(ports=[mapping])
    assert conflict(engine, mapping).which == "0.0.0.0:8080/tcp"
    local = PortMapping(host_ip="127.0.0.1", host_port=8080, container_port=80)
    assert conflict(engine, local).which == "127.0.0.1:8080/tcp"
    around = PortMapping(host_port=8078, container_port=80, count=5)
    assert conflict(engine, around).which == "0.0.0.0:8080/tcp"
    with Answerer(web, "web", 80):
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
    engine.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))
    engine.attach(ports=[mapping])


def test_a_port_that_a_program_of_the_host_has(engine: Engine) -> None:
    with Answerer(engine.host, "program", 8090, address="127.0.0.1"):
        taken = PortMapping(host_port=8090, container_port=80)
        assert conflict(engine, taken).which == "0.0.0.0:8090/tcp"
    engine.attach(ports=[PortMapping(host_port=8090, container_port=80)])
    with pytest.raises(OSError, match="in use"):
        Answerer(engine.host, "program", 8090)


def test_half_of_a_wish_is_undone(engine: Engine) -> None:
    good = PortMapping(host_port=8091, container_port=80)
    with Answerer(engine.host, "program", 8092):
        conflict(engine, good, PortMapping(host_port=8092, container_port=80))
    with Answerer(engine.host, "program", 8091):  # it is free
        pass
    processes.wait_for(lambda: engine.links() == set(), "the end of links")


def test_a_steady_sender_of_udp_follows_the_port(engine: Engine) -> None:
    """Its flow began before the port was published, and goes on when the container is replaced."""

    def open_sender() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.settimeout(SECONDS)
        return one

    def heard(one: socket.socket) -> str:
        one.sendto(b"?", ("192.0.2.1", 5400))
        return one.recv(100).decode().split()[0]

    mapping = PortMapping(host_port=5400, container_port=54, protocol="udp")
    with engine.neighbour.call(open_sender) as sender:
        with Answerer(engine.host, "host", 5400, udp=True):
            assert heard(sender) == "host"
        for name in ("first", "second"):
            container, answer = engine.attach(ports=[mapping])
            with Answerer(container, name, 54, udp=True):
                assert heard(sender) == name
            engine.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))


def publish(engine: Engine, owner: str, *ports: PortMapping) -> list[PortMapping]:
    return list(engine.stub.Publish(pb.PublishRequest(owner=owner, ports=ports)).ports)


def unpublish(engine: Engine, owner: str, *ports: PortMapping) -> list[PortMapping]:
    return list(engine.stub.Unpublish(pb.UnpublishRequest(owner=owner, ports=ports)).ports)


@pytest.mark.parametrize("udp", [False, True])
def test_ports_come_and_go_while_a_container_runs(engine: Engine, udp: bool) -> None:
    web, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    owner, protocol = answer.endpoint.owner, "udp" if udp else "tcp"
    wanted = PortMapping(host_port=8085, container_port=85, protocol=protocol)
    ask = engine.neighbour.ask if udp else engine.neighbour.fetch
    with Answerer(web, "web", 80), Answerer(web, "more", 85, udp=udp):
        published = publish(engine, owner, wanted)
        assert [(p.host_port, p.host_ip) for p in published] == [
            (8080, "0.0.0.0"), (8080, "::"), (8085, "0.0.0.0"), (8085, "::"),
        ]  # fmt: skip
        assert publish(engine, owner, wanted) == published, "the same again"
        assert ask("192.0.2.1", 8085) == "more 192.0.2.2"
        assert engine.reconcile() == []
        assert len(unpublish(engine, owner, PortMapping(container_port=85, protocol=protocol))) == 2
        assert (
            not udp_answers(engine, 8085)
            if udp
            else not engine.neighbour.reaches("192.0.2.1", 8085)
        )
        assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
        assert engine.reconcile() == []
    engine.attach(ports=[wanted])


def udp_answers(engine: Engine, port: int) -> bool:
    def ask() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(1)
            one.connect(("192.0.2.1", port))
            with contextlib.suppress(OSError):
                one.send(b"?")
                return bool(one.recv(10))
            return False

    return engine.neighbour.call(ask)


def test_changes_that_cannot_be_change_nothing(engine: Engine) -> None:
    web, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    owner = answer.endpoint.owner
    new = PortMapping(host_port=8081, container_port=81)
    with Answerer(engine.host, "other", 8082), pytest.raises(grpc.RpcError) as caught:
        publish(engine, owner, new, PortMapping(host_port=8082, container_port=82))
    assert isinstance(from_rpc_error(caught.value), AddressInUse)
    for wrong in (
        new,
        PortMapping(container_port=80, count=2),
        PortMapping(host_port=1, container_port=80),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            unpublish(engine, owner, PortMapping(container_port=80), wrong)
        assert isinstance(from_rpc_error(caught.value), PortNotPublished)
    with Answerer(web, "web", 80):
        assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
    assert engine.reconcile() == []
    with pytest.raises(grpc.RpcError) as caught:
        publish(engine, "container/nobody", new)
    assert isinstance(from_rpc_error(caught.value), NotConnected)


def test_ports_that_some_may_use(engine: Engine) -> None:
    allow = ["198.51.100.0/24", "192.0.2.2", "192.0.2.0/31"]
    ports = [
        PortMapping(host_port=8080, container_port=80, allow=["198.51.100.0/24"]),
        PortMapping(host_port=8081, container_port=80, allow=allow),
        PortMapping(host_port=9000, container_port=9000, count=3, allow=["198.51.100.7"]),
        PortMapping(host_port=8053, container_port=53, protocol="udp", allow=["198.51.100.7"]),
    ]
    web, _ = engine.attach(ports=ports)
    client, _ = engine.attach()
    engine.neighbour.run("ip addr add 198.51.100.7/32 dev lo")
    engine.host.run("ip route add 198.51.100.7 via 192.0.2.2")
    with Answerer(web, "web", 80), Answerer(web, "range", 9002), Answerer(web, "dns", 53, udp=True):
        assert not engine.neighbour.reaches("192.0.2.1", 8080)
        assert engine.neighbour.fetch("192.0.2.1", 8080, "198.51.100.7") == "web 198.51.100.7"
        assert engine.neighbour.fetch("192.0.2.1", 8081) == "web 192.0.2.2"
        assert not engine.neighbour.reaches("192.0.2.1", 9002)
        assert engine.neighbour.fetch("192.0.2.1", 9002, "198.51.100.7") == "range 198.51.100.7"
        assert not udp_answers(engine, 8053)
        assert not client.reaches("192.0.2.1", 8081), "nor another container"
        for address in ("127.0.0.1", "192.0.2.1"):
            assert engine.host.fetch(address, 8080).startswith("web "), "the host itself may"
            assert engine.host.fetch(address, 9002).startswith("range ")
        assert engine.reconcile() == []
    engine.host.run("ip route del 198.51.100.7")
    engine.neighbour.run("ip addr del 198.51.100.7/32 dev lo")


def test_a_port_of_sctp(engine: Engine) -> None:
    """The kernel under test may have no sockets of SCTP; what leads to the container is there all the same."""
    port = PortMapping(host_port=8080, container_port=8080, protocol="sctp")
    _, answer = engine.attach(ports=[port])
    assert f"sctp . 8080 : {answer.endpoint.ip_address}" in engine.table()
    assert conflict(engine, port).which == "0.0.0.0:8080/sctp"
    assert engine.reconcile() == []
