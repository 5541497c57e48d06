"""Subnets: which ones a network gets."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from scow.contract.errors import InvalidConfig, SubnetFull
from scow.network.ipam.addresses import Family, Subnet

# A route as wide as this stands for "everywhere": 0.0.0.0/1 and 128.0.0.0/1 are how VPNs write a default route.
_WIDEST_ROUTE = 1
# The subnet's own address, the gateway, the last one and some for containers: bits of the host part.
_FEWEST_BITS = 3


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


def choose(used: Iterable[Subnet]) -> ipaddress.IPv4Network:
    """Return the first candidate that overlaps nothing in use.

    Args:
        used: Destinations of the host's routes, subnets of its addresses, its name servers.

    Raises:
        SubnetFull: All overlap.
    """
    taken = [network for network in used if network.prefixlen > _WIDEST_ROUTE]
    for candidate in candidates():
        if not any(candidate.overlaps(n) for n in taken if isinstance(n, ipaddress.IPv4Network)):
            return candidate
    raise SubnetFull(
        "the host's routes leave no private subnet free",
        what="subnet",
        which="10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
        do="set network.subnet in the configuration",
    )


def configured(key: str, value: str, family: Family) -> Subnet:
    """Return a subnet that the configuration names.

    Args:
        key: "network.subnet", for errors.
        value: CIDR.
        family: That it must be of.

    Raises:
        InvalidConfig: It is no subnet of that family, or too small.
    """
    try:
        subnet = ipaddress.ip_network(value)
    except ValueError as error:
        raise _invalid(key, value, str(error), family) from error
    if subnet.version != family.version:
        raise _invalid(key, value, f"it is not of IPv{family.version}", family)
    if subnet.max_prefixlen - subnet.prefixlen < _FEWEST_BITS:
        raise _invalid(key, value, "it is too small", family)
    return subnet


def _invalid(key: str, value: str, fault: str, family: Family) -> InvalidConfig:
    example = "10.201.0.0/16" if family.version == 4 else "fd00:5c:1::/64"
    return InvalidConfig(
        f"{key} is {value!r}: {fault}",
        what="configuration key",
        which=key,
        do=f"give a CIDR of IPv{family.version} with room for eight addresses, such as {example}",
    )
