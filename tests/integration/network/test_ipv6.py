"""The default network with a subnet of IPv6 beside the one of IPv4."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import AddressInUse
from tests.integration.network import packets
from tests.integration.network.conftest import Engine, running_engine
from tests.integration.network.machines import Answerer
from tests.integration.network.test_attacks import believed, listener, mac_of
from tests.integration.network.test_relay import HOST, NEIGHBOUR, addresses, relays
from tests.support import processes
from tests.support.service import from_rpc_error

_SUBNET = "fd00:77::/64"
_GATEWAY = "fd00:77::1"
WEB = PortMapping(host_port=8080, container_port=80)


@pytest.fixture(scope="module")
def module_engine() -> Iterator[Engine]:
    for engine in running_engine({"SCOW_NETWORK_IPV6_SUBNET": _SUBNET}):
        with addresses(engine):
            yield engine


@pytest.fixture
def six(module_engine: Engine) -> Iterator[Engine]:
    yield module_engine
    module_engine.end_containers()


def test_a_container_has_an_address_of_each_family(six: Engine) -> None:
    container, answer = six.attach(hostname="web")
    endpoint = answer.endpoint
    assert (endpoint.ipv6_address, endpoint.ipv6_prefix_length) == ("fd00:77::2", 64)
    assert endpoint.ipv6_gateway == _GATEWAY
    assert endpoint.ip_address.endswith(".0.2")
    network = six.stub.Get(pb.GetRequest()).network
    assert network.ipv6
    assert [s.subnet for s in network.subnets][1:] == [_SUBNET]
    names = [line.split() for line in Path(answer.hosts_path).read_text().splitlines()]
    assert names[-2:] == [[endpoint.ip_address, "web"], [endpoint.ipv6_address, "web"]]
    assert "fe80" not in container.run("ip addr show dev eth0")
    assert six.reconcile() == []


def test_containers_reach_each_other_the_host_and_the_world(six: Engine) -> None:
    one, first = six.attach()
    two, second = six.attach()
    with (
        Answerer(one, "one", 80, address="::"),
        Answerer(six.host, "host", 81, address="::"),
        Answerer(six.neighbour, "far", 82, address="::"),
    ):
        peer = second.endpoint.ipv6_address
        assert two.fetch(first.endpoint.ipv6_address, 80) == f"one {peer}"
        assert two.fetch(_GATEWAY, 81) == f"host {peer}"
        # Masqueraded: the neighbour sees the host.
        assert two.fetch(NEIGHBOUR, 82) == f"far {HOST}"
        assert not six.neighbour.reaches(first.endpoint.ipv6_address, 80)


def test_a_published_port_keeps_the_senders_address(six: Engine) -> None:
    web, answer = six.attach(ports=[WEB])
    client, _ = six.attach()
    with Answerer(web, "web", 80, address="::"):
        assert six.neighbour.fetch(HOST, 8080) == f"web {NEIGHBOUR}"
        for address in (HOST, _GATEWAY):
            assert six.host.fetch(address, 8080).startswith("web ")
            assert client.fetch(address, 8080) == f"web {_GATEWAY}"
            assert web.fetch(address, 8080) == f"web {_GATEWAY}", "hairpin"
        assert relays(six) == []
        assert six.host.fetch("::1", 8080) == f"web {_GATEWAY}", "by the relay"
        six.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))
        assert not six.neighbour.reaches(HOST, 8080)
        assert not six.host.reaches("::1", 8080)


def test_a_steady_sender_of_udp_follows_the_port(six: Engine) -> None:
    mapping = PortMapping(host_port=5400, container_port=54, protocol="udp")
    with listener(six.neighbour, "::", 4000) as sender:
        for name in ("first", "second"):
            container, answer = six.attach(ports=[mapping])
            with Answerer(container, name, 54, udp=True, address="::"):
                sender.sendto(b"?", (HOST, 5400))
                assert sender.recv(100).decode() == f"{name} {NEIGHBOUR}"
            six.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))


def test_wished_addresses(six: Engine) -> None:
    _, answer = six.attach(ipv6_address="fd00:77::99")
    assert answer.endpoint.ipv6_address == "fd00:77::99"
    with pytest.raises(grpc.RpcError) as caught:
        six.attach(ipv6_address="fd00:77::99")
    error = from_rpc_error(caught.value)
    assert isinstance(error, AddressInUse)
    assert error.which == "fd00:77::99"


def test_no_container_is_believed(six: Engine) -> None:
    attacker, answer = six.attach()
    own = answer.endpoint.ipv6_address
    victim, _ = six.attach()
    mac = mac_of(attacker, "eth0")
    frame = packets.router_advertisement(mac, "2001:db8:bad::/64")
    packets.send(attacker, "eth0", frame)
    macs = (mac, mac_of(six.host, six.bridge))
    with listener(six.host, "::", 7002) as heard:
        for source in ("::1", own):
            data = packets.udp(macs, (source, _GATEWAY), 7002, source.encode())
            packets.send(attacker, "eth0", data)
        assert heard.recv(100) == own.encode()
    assert believed(six.host) == ""
    assert believed(victim) == ""


@pytest.mark.parametrize(
    ("damage", "changed"),
    [
        ("ip -6 addr flush dev {bridge}", "network/bridge"),
        ("sysctl -qw net.ipv6.conf.{bridge}.disable_ipv6=1", "network/bridge"),
        ("nft flush chain ip6 {table} forward", "table"),
    ],
)
def test_damage_is_mended(six: Engine, damage: str, changed: str) -> None:
    container, _ = six.attach()
    six.host.run(damage.format(bridge=six.bridge, table=six.instance))
    assert [name for name, _ in six.reconcile()] == [changed]
    with Answerer(six.host, "host", 81, address="::"):
        assert container.fetch(_GATEWAY, 81).startswith("host ")
    assert six.reconcile() == []


def test_a_host_whose_own_route_is_advertised_keeps_it(own_engine: Engine) -> None:
    """Becoming a router, it would stop to believe its own router."""
    engine = own_engine
    frame = packets.router_advertisement(mac_of(engine.neighbour, "wan"), "2001:db8:bad::/64")

    def has_route() -> bool:
        return "default via fe80::bad" in believed(engine.host)

    packets.send(engine.neighbour, "wan", frame)
    processes.wait_for(has_route, "a route")
    reconfigure(engine, _SUBNET)
    assert engine.host.sysctl("ipv6/conf/all/forwarding") == "1"
    assert has_route()
    engine.host.run("ip -6 route flush proto ra")
    packets.send(engine.neighbour, "wan", frame)
    processes.wait_for(has_route, "a route")


def reconfigure(engine: Engine, subnet: str) -> None:
    """Start the service again with another subnet of IPv6, or with none."""
    engine.service.stop()
    engine.service._settings["SCOW_NETWORK_IPV6_SUBNET"] = subnet
    engine.host.call(engine.service.start)


def test_the_subnet_comes_and_goes_with_the_configuration(own_engine: Engine) -> None:
    engine = own_engine
    _, old = engine.attach()
    reconfigure(engine, _SUBNET)
    _, new = engine.attach()
    assert new.endpoint.ipv6_address == "fd00:77::2"
    attached = engine.stub.Get(pb.GetRequest()).network.endpoints
    assert [e.ipv6_address for e in attached] == ["", "fd00:77::2"]
    assert attached[0] == old.endpoint
    assert engine.reconcile() == []
    reconfigure(engine, "")
    [four, _] = engine.stub.Get(pb.GetRequest()).network.subnets  # somebody has it
    engine.end_containers()
    _, answer = engine.attach()
    assert answer.endpoint.ipv6_address == ""
    assert list(engine.stub.Get(pb.GetRequest()).network.subnets) == [four]
    assert "ip6" not in engine.host.run("nft list tables")
    assert engine.host.sysctl(f"ipv6/conf/{engine.bridge}/disable_ipv6") == "1"


def test_teardown_takes_both_tables(own_engine: Engine) -> None:
    engine = own_engine
    reconfigure(engine, _SUBNET)
    assert f"table ip6 {engine.instance}" in engine.host.run("nft list tables")
    engine.service.stop()
    command = [sys.executable, "-m", "scow.network.teardown", "--instance", engine.instance]
    engine.host.call(lambda: subprocess.run(command, check=True, capture_output=True))
    assert engine.host.run("nft list tables") == ""
    engine.host.call(engine.service.start)


def test_a_port_that_some_may_use(six: Engine) -> None:
    port = PortMapping(host_port=8080, container_port=80, allow=["2001:db8:77::/48"])
    web, _ = six.attach(ports=[port])
    client, _ = six.attach()
    with Answerer(web, "web", 80, address="::"):
        assert not six.neighbour.reaches(HOST, 8080)
        assert not client.reaches(_GATEWAY, 8080)
        for address in ("::1", HOST, "127.0.0.1"):
            assert six.host.fetch(address, 8080).startswith("web "), "the host itself may"
    assert six.reconcile() == []
