"""Subnets: which one a network gets, and which address an endpoint gets."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator

from scow.contract.errors import AddressInUse, InvalidArgument, InvalidConfig, SubnetFull

# A route as wide as this stands for "everywhere": 0.0.0.0/1 and 128.0.0.0/1 are how VPNs write a default route.
_WIDEST_ROUTE = 1
# Link addresses, the gateway, the broadcast address and one container.
_LONGEST_PREFIX = 29
_MAC_PREFIX = bytes((0x0A, 0x5C))


def candidates() -> Iterator[ipaddress.IPv4Network]:
    """Iterate over private subnets (RFC 1918) in the order of preference.

    Those come last that other engines use by default, who may not be running now: docker's 172.17.0.0/16 and
    following, podman's 10.88.0.0/16, libvirt's 192.168.122.0/24, and what home routers use.
    """
    for number in range(200, 256):
        yield ipaddress.IPv4Network(f"10.{number}.0.0/16")
    for number in range(100, 200):
        yield ipaddress.IPv4Network(f"10.{number}.0.0/16")
    for number in range(31, 15, -1):
        yield ipaddress.IPv4Network(f"172.{number}.0.0/16")
    for number in range(255, 123, -1):
        yield ipaddress.IPv4Network(f"192.168.{number}.0/24")


def choose(used: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """Return the first candidate that overlaps nothing in use.

    Args:
        used: Destinations of the host's routes, subnets of its addresses, its name servers.

    Raises:
        SubnetFull: All overlap.
    """
    taken = [network for network in used if network.prefixlen > _WIDEST_ROUTE]
    for candidate in candidates():
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise SubnetFull(
        "the host's routes leave no private subnet free",
        what="subnet",
        which="10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
        do="set network.subnet in the configuration",
    )


def configured(value: str) -> ipaddress.IPv4Network:
    """Return the subnet that the configuration names.

    Raises:
        InvalidConfig: It is no subnet of IPv4, or too small.
    """
    try:
        subnet = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise _invalid_subnet(value, str(error)) from error
    if subnet.prefixlen > _LONGEST_PREFIX:
        raise _invalid_subnet(value, "it is too small")
    return subnet


def _invalid_subnet(value: str, fault: str) -> InvalidConfig:
    return InvalidConfig(
        f"network.subnet is {value!r}: {fault}",
        what="configuration key",
        which="network.subnet",
        do="give a CIDR of IPv4 with a prefix of at most 29 bits, such as 10.201.0.0/16",
    )


def gateway(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Address:
    """Return the bridge's address: the first one."""
    return subnet.network_address + 1


def allocate(subnet: ipaddress.IPv4Network, taken: Collection[str], last: str) -> str:
    """Return a free address: the next one after the last that was given, so that none is soon used again.

    Raises:
        SubnetFull: None is free.
    """
    first = int(subnet.network_address) + 2
    size = subnet.num_addresses - 3
    start = int(ipaddress.IPv4Address(last)) + 1 - first if last else 0
    for step in range(size):
        address = str(ipaddress.IPv4Address(first + (start + step) % size))
        if address not in taken:
            return address
    raise SubnetFull(
        f"all addresses of {subnet} are in use",
        what="subnet",
        which=str(subnet),
        do="remove containers, or configure a larger network.subnet",
    )


def requested(subnet: ipaddress.IPv4Network, taken: Collection[str], wanted: str) -> str:
    """Return the address that was asked for, in its usual spelling.

    Raises:
        InvalidArgument: It is no address of the subnet that a container can have.
        AddressInUse: Somebody has it.
    """
    try:
        address = ipaddress.IPv4Address(wanted)
    except ValueError:
        address = subnet.network_address
    reserved = (subnet.network_address, gateway(subnet), subnet.broadcast_address)
    if address not in subnet or address in reserved:
        raise InvalidArgument(
            f"{wanted!r} is no address for a container in {subnet}",
            what="address",
            which=wanted,
            do=f"give one between {subnet.network_address + 2} and {subnet.broadcast_address - 1}",
        )
    if str(address) in taken:
        raise AddressInUse(
            f"the address {address} is in use",
            what="address",
            which=str(address),
            do="choose another one or leave it out",
        )
    return str(address)


def mac_of(address: str) -> str:
    """Return a MAC address derived from an IP address, so that no neighbour's cache is wrong after reuse."""
    return (_MAC_PREFIX + ipaddress.IPv4Address(address).packed).hex(":")
