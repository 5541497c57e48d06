"""Addresses of both families in one model: IPv6 is another value, never another way through the code."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network
# An address with the prefix length of its subnet.
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True)
class Family:
    """What differs between the families.

    Attributes:
        version: 4 or 6.
        socket: AF_INET or AF_INET6.
        nft: What nftables calls it.
        everywhere: All addresses.
        loopback: The host's own, which no packet on a cable may have.
        diverts_loopback: Whether the kernel lets packets to the host's own loopback leave by a bridge
            (route_localnet); else the relay takes them.
        forwarding: The setting that makes the host a router.
    """

    version: int
    socket: socket.AddressFamily
    nft: str
    everywhere: Subnet
    loopback: Subnet
    diverts_loopback: bool
    forwarding: str

    @property
    def unspecified(self) -> str:
        """The address that stands for all of the host's."""
        return str(self.everywhere.network_address)


IPV4 = Family(
    version=4,
    socket=socket.AF_INET,
    nft="ip",
    everywhere=ipaddress.IPv4Network("0.0.0.0/0"),
    loopback=ipaddress.IPv4Network("127.0.0.0/8"),
    diverts_loopback=True,
    forwarding="ipv4/ip_forward",
)
IPV6 = Family(
    version=6,
    socket=socket.AF_INET6,
    nft="ip6",
    everywhere=ipaddress.IPv6Network("::/0"),
    loopback=ipaddress.IPv6Network("::1/128"),
    diverts_loopback=False,
    forwarding="ipv6/conf/all/forwarding",
)
FAMILIES = (IPV4, IPV6)
# A bridge's own. Without an address of the link alone the kernel does not ask for a container to which it forwards a
# packet (RFC 4861, 7.2.2). Docker's is the same.
LINK_LOCAL = ipaddress.ip_interface("fe80::1/64")


def family_of(value: str | Address | Subnet | Interface) -> Family:
    """Return the family of an address, in whatever form it has."""
    if isinstance(value, str):
        return IPV6 if ":" in value else IPV4
    return IPV6 if value.version == 6 else IPV4


def of_family(interfaces: Iterable[Interface], family: Family) -> Interface | None:
    """Return the first one of a family, or None."""
    return next((one for one in interfaces if one.version == family.version), None)


@dataclass(frozen=True)
class Pool:
    """A subnet of a network, from which endpoints get addresses.

    Attributes:
        subnet: All of it.
        gateway: The endpoints' router; on a bridge the host's address.
        last: The address that was given last; None before the first.
        ip_range: The part that addresses are chosen from; None means all.
        aux: Names and addresses that nobody gets.
        gateway_chosen: The subnet was asked for, its gateway was not.
    """

    subnet: Subnet
    gateway: Address
    last: Address | None = None
    ip_range: Subnet | None = None
    aux: tuple[tuple[str, Address], ...] = ()
    gateway_chosen: bool = False

    @classmethod
    def of(cls, subnet: Subnet) -> Pool:
        """Return the pool of a subnet whose first address is the gateway."""
        return cls(subnet, subnet.network_address + 1)

    @property
    def router(self) -> Interface:
        """The gateway with the subnet's prefix length."""
        return ipaddress.ip_interface(f"{self.gateway}/{self.subnet.prefixlen}")

    def reserved(self) -> set[Address]:
        """Return the addresses that no endpoint can have."""
        ends = {self.subnet.network_address, self.subnet.broadcast_address}
        return {*ends, self.gateway, *(address for _, address in self.aux)}
