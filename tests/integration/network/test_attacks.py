"""What a container with Docker's default capabilities may send, and what the host makes of it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from scow.api.network.v1 import network_pb2 as pb
from tests.integration.network import packets
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import SECONDS, Answerer, Namespace
from tests.support import processes

_PREFIX = "2001:db8:bad::/64"


def mac_of(where: Namespace, link: str) -> str:
    words = where.run(f"ip -o link show dev {link}").split()
    return words[words.index("link/ether") + 1]


def advertise(attacker: Namespace) -> None:
    """Send a router advertisement."""
    packets.send(attacker, "eth0", packets.router_advertisement(mac_of(attacker, "eth0"), _PREFIX))


def believed(where: Namespace) -> str:
    """Return what a machine took from router advertisements."""
    routes = where.run("ip -6 route show proto ra")
    return routes + where.run("ip -6 addr show | grep 2001:db8:bad || true")


def test_a_router_advertisement_of_a_neighbour_is_believed_as_ever(engine: Engine) -> None:
    """The host's own settings elsewhere stay; and the test's packet is one that is believed."""
    frame = packets.router_advertisement(mac_of(engine.neighbour, "wan"), _PREFIX)
    packets.send(engine.neighbour, "wan", frame)
    processes.wait_for(lambda: "default via fe80::bad" in believed(engine.host), "a route")
    engine.host.run("ip -6 route flush proto ra; ip -6 addr flush dev wan scope global")


def test_a_router_advertisement_of_a_container_is_believed_by_nobody(engine: Engine) -> None:
    attacker, answer = engine.attach()
    victim, other = engine.attach()
    advertise(attacker)
    # A link that was taken off the bridge hears its container itself.
    engine.host.run(f"ip link set {answer.endpoint.host_link} nomaster")
    advertise(attacker)
    engine.reconcile()
    with Answerer(engine.host, "host", 7000, address=engine.gateway):
        assert attacker.fetch(engine.gateway, 7000) == f"host {answer.endpoint.ip_address}"
        assert victim.fetch(engine.gateway, 7000) == f"host {other.endpoint.ip_address}"
    assert believed(engine.host) == ""
    assert believed(victim) == ""


@pytest.mark.parametrize("setting", ["accept_ra", "autoconf", "accept_redirects"])
def test_links_of_the_host_learn_nothing(engine: Engine, setting: str) -> None:
    _, answer = engine.attach()
    for link in (engine.bridge, answer.endpoint.host_link):
        assert engine.host.sysctl(f"ipv6/conf/{link}/{setting}") == "0"
    assert engine.host.sysctl(f"ipv4/conf/{engine.bridge}/accept_redirects") == "0"
    assert engine.host.sysctl(f"ipv6/conf/wan/{setting}") == "1"


def test_a_link_that_somebody_opened_is_closed_again(engine: Engine) -> None:
    _, answer = engine.attach()
    for link, owner in (
        (engine.bridge, "network/bridge"),
        (answer.endpoint.host_link, answer.endpoint.owner),
    ):
        engine.host.run(f"sysctl -qw net.ipv6.conf.{link}.accept_ra=1")
        assert engine.reconcile() == [(owner, "rebuilt")]
        assert engine.host.sysctl(f"ipv6/conf/{link}/accept_ra") == "0"


def listener(where: Namespace, address: str, port: int) -> socket.socket:
    """Return a socket that receives datagrams on all addresses of a family."""

    def bind() -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.settimeout(SECONDS)
        one.bind((address, port))
        return one

    return where.call(bind)


@pytest.mark.parametrize("source", ["127.0.0.1", "127.9.9.9"])
def test_no_container_speaks_as_the_hosts_loopback(engine: Engine, source: str) -> None:
    """To a service of the host that listens everywhere and trusts 127.0.0.1."""
    attacker, answer = engine.attach()
    macs = (mac_of(attacker, "eth0"), mac_of(engine.host, engine.bridge))
    with listener(engine.host, "0.0.0.0", 7001) as heard:
        for sender in (source, answer.endpoint.ip_address):
            frame = packets.udp(macs, (sender, engine.gateway), 7001, sender.encode())
            packets.send(attacker, "eth0", frame)
        assert heard.recv(100).decode() == answer.endpoint.ip_address


def test_no_container_speaks_as_the_hosts_ipv6_loopback(engine: Engine) -> None:
    attacker, answer = engine.attach()
    engine.host.run("ip addr add 2001:db8:1::1/64 dev wan nodad")
    macs = (mac_of(attacker, "eth0"), mac_of(engine.host, engine.bridge))
    with listener(engine.host, "::", 7002) as heard:
        frame = packets.udp(macs, ("::1", "2001:db8:1::1"), 7002, b"::1")
        packets.send(attacker, "eth0", frame)
        addresses = (answer.endpoint.ip_address, engine.gateway)
        packets.send(attacker, "eth0", packets.udp(macs, addresses, 7002, b"honest"))
        assert heard.recv(100) == b"honest"
    engine.host.run("ip addr del 2001:db8:1::1/64 dev wan")


_NAMED = {"com.docker.network.bridge.name": "br-own"}


@pytest.mark.parametrize(
    ("fields", "before"),
    [
        ({}, ""),
        ({"ipv6": True}, ""),
        ({"internal": True, "ipv6": True}, ""),
        (
            {"ipv6": True, "options": _NAMED},
            "ip link add br-own type bridge; ip link set br-own up",
        ),
    ],
)
def test_networks_of_the_user_are_guarded_alike(
    engine: Engine, fields: dict[str, Any], before: str
) -> None:
    """Last in this module: networks of IPv6 make the host a router of it."""
    engine.host.run(before or "true")
    made = engine.stub.Create(pb.CreateRequest(name="own", **fields)).network
    attacker, answer = engine.attach(network="own")
    victim, _ = engine.attach(network="own")
    advertise(attacker)
    for link in (made.bridge, answer.endpoint.host_link):
        for setting in ("accept_ra", "autoconf", "accept_redirects"):
            assert engine.host.sysctl(f"ipv6/conf/{link}/{setting}") == "0"
        assert engine.host.sysctl(f"ipv4/conf/{link}/accept_redirects") == "0"
    gateway = made.subnets[0].gateway
    with Answerer(engine.host, "host", 7000, address=gateway):
        assert victim.fetch(gateway, 7000).startswith("host ")
    assert believed(engine.host) == believed(victim) == ""
    engine.end_containers()
    engine.stub.Remove(pb.RemoveRequest(network="own"))
    assert ("br-own" in engine.host.links()) is bool(before), "it was there before"
    engine.host.run("ip link del br-own || true")
