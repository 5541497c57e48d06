"""What containers send from addresses that are not theirs reaches nobody."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
from collections.abc import Iterator

import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.network.options import ALLOW_SPOOFING
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import SECONDS, Answerer, Namespace
from tests.integration.network.packets import send, udp

_ARP, _BROADCAST = 0x0806, "ff:ff:ff:ff:ff:ff"


@contextlib.contextmanager
def received(where: Namespace, port: int) -> Iterator[socket.socket]:
    """A socket of IPv4 and IPv6 that gets datagrams."""

    def listen() -> socket.socket:
        one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        one.bind(("::", port))
        one.settimeout(SECONDS)
        return one

    one = where.call(listen)
    yield one
    one.close()


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def arp_answer(frame: str, sender: str, address: str, target: str) -> bytes:
    """Return a frame that says to everybody that an address is at a MAC address."""
    head = mac(_BROADCAST) + mac(frame) + struct.pack("!H", _ARP)
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac(sender) + socket.inet_aton(address)
    return head + body + mac(_BROADCAST) + socket.inet_aton(target)


def test_packets_from_addresses_of_others(engine: Engine) -> None:
    victim, to = engine.attach()
    liar, own = engine.attach()
    mine, theirs = own.endpoint, to.endpoint
    with received(victim, 5000) as one:
        for sender, source in (
            (mine.mac_address, engine.gateway),
            (mine.mac_address, "203.0.113.9"),
            ("02:42:00:00:00:99", mine.ip_address),
        ):
            macs, addresses = (sender, theirs.mac_address), (source, theirs.ip_address)
            send(liar, "eth0", udp(macs, addresses, 5000, b"lie"))
        macs = (mine.mac_address, theirs.mac_address)
        send(liar, "eth0", udp(macs, (mine.ip_address, theirs.ip_address), 5000, b"truth"))
        assert one.recvfrom(100)[0] == b"truth", "it came first, all before it was lost"
        assert engine.reconcile() == []


def test_answers_for_addresses_of_others(engine: Engine) -> None:
    victim, to = engine.attach()
    liar, own = engine.attach()
    web, at = engine.attach()
    mine, theirs = own.endpoint, at.endpoint
    with Answerer(web, "web", 80):
        assert victim.fetch(theirs.ip_address, 80).startswith("web ")
        for address in (theirs.ip_address, engine.gateway):
            lie = (mine.mac_address, mine.mac_address, address, to.endpoint.ip_address)
            send(liar, "eth0", arp_answer(*lie))
        stolen = ("02:42:00:00:00:99", mine.ip_address, to.endpoint.ip_address)
        send(liar, "eth0", arp_answer(mine.mac_address, *stolen))
        known = victim.run("ip neigh")
        assert f"{theirs.ip_address} dev eth0 lladdr {theirs.mac_address}" in known
        assert mine.mac_address not in known
        assert victim.fetch(theirs.ip_address, 80).startswith("web ")


def test_ipv6(own_engine: Engine) -> None:
    own_engine.stub.Create(
        pb.CreateRequest(name="six", ipv6=True, subnets=[pb.Subnet(subnet="fd00:77::/64")])
    )
    victim, to = own_engine.attach(network="six")
    liar, own = own_engine.attach(network="six")
    mine, theirs = own.endpoint, to.endpoint
    with received(victim, 5000) as one:
        for source in ("fd00:77::1", "fe80::1", "2001:db8::1"):
            macs = (mine.mac_address, theirs.mac_address)
            send(liar, "eth0", udp(macs, (source, theirs.ipv6_address), 5000, b"lie"))
        send(liar, "eth0", udp(macs, (mine.ipv6_address, theirs.ipv6_address), 5000, b"truth"))
        assert one.recvfrom(100)[0] == b"truth"
    send(liar, "eth0", advertisement(mine.mac_address, mine.ipv6_address, "fe80::1"))
    assert mine.mac_address not in own_engine.host.run("ip -6 neigh")
    assert own_engine.reconcile() == []


def test_advertisements_of_addresses_of_others(own_engine: Engine) -> None:
    six = [pb.Subnet(subnet="fd00:77::/64")]
    own_engine.stub.Create(pb.CreateRequest(name="six", ipv6=True, subnets=six))
    victim, _ = own_engine.attach(network="six")
    liar, own = own_engine.attach(network="six")
    web, at = own_engine.attach(network="six")
    mine, theirs = own.endpoint, at.endpoint
    with Answerer(web, "web", 80, address="::"), Answerer(liar, "liar", 80, address="::"):
        assert victim.fetch(theirs.ipv6_address, 80).startswith("web ")
        for target in (theirs.ipv6_address, "fd00:77::1"):
            send(liar, "eth0", advertisement(mine.mac_address, mine.ipv6_address, target))
        assert victim.fetch(mine.ipv6_address, 80).startswith("liar "), "its own ones pass"
        known = [n for n in json.loads(victim.run("ip -j -6 neigh")) if "lladdr" in n]
        claimed = {n["dst"] for n in known if n["lladdr"] == mine.mac_address}
        assert mine.ipv6_address in claimed
        assert claimed.isdisjoint({theirs.ipv6_address, "fd00:77::1"})
    assert own_engine.reconcile() == []
    own_engine.stub.Detach(pb.DetachRequest(owner=mine.owner))
    assert own_engine.reconcile() == []


def advertisement(sender: str, source: str, target: str) -> bytes:
    """Return a frame that says to all hosts that an address of IPv6 is at a MAC address (RFC 4861, 4.4)."""
    to = ipaddress.IPv6Address("ff02::1").packed
    origin = ipaddress.IPv6Address(source).packed
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000)
    body += ipaddress.IPv6Address(target).packed + b"\x02\x01" + mac(sender)
    pseudo = origin + to + struct.pack("!II", len(body), 58)
    total = sum(struct.unpack(f"!{len(pseudo + body) // 2}H", pseudo + body))
    total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + origin + to
    return mac("33:33:00:00:00:01") + mac(sender) + struct.pack("!H", 0x86DD) + header + body


@pytest.mark.parametrize("table", ["bridge", "all"])
def test_the_table_is_put_back(quiet_engine: Engine, table: str) -> None:
    engine = quiet_engine
    engine.attach()
    what = f"delete table bridge {engine.instance}" if table == "bridge" else "flush ruleset"
    engine.host.run(f"nft {what}")
    engine.reconcile()
    assert f"table bridge {engine.instance}" in engine.host.run("nft list tables")
    assert engine.reconcile() == []


def test_a_network_that_allows_it(engine: Engine) -> None:
    options = {ALLOW_SPOOFING: "true"}
    engine.stub.Create(pb.CreateRequest(name="free", options=options))
    victim, to = engine.attach(network="free")
    router, own = engine.attach(network="free")
    macs = (own.endpoint.mac_address, to.endpoint.mac_address)
    with received(victim, 5000) as one:
        frame = udp(macs, ("203.0.113.9", to.endpoint.ip_address), 5000, b"routed")
        # An answer has no way back: that a packet came is what counts.
        send(router, "eth0", frame)
        assert one.recvfrom(100)[0] == b"routed"
    assert engine.reconcile() == []
    engine.end_containers()
    engine.stub.Remove(pb.RemoveRequest(network="free"))
