"""Subnets: which ones a network gets."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from scow.contract.errors import InvalidConfig, SubnetFull
from scow.core.config import AddressPool
from scow.network.ipam.addresses import IPV4, Family, Subnet

# A route as wide as this stands for "everywhere": 0.0.0.0/1 and 128.0.0.0/1 are how VPNs write a default route.
_WIDEST_ROUTE = 1
# The subnet's own address, the gateway, the last one and some for containers: bits of the host part.
_FEWEST_BITS = 3


def is_everywhere(subnet: Subnet) -> bool:
    """Tell whether a route's destination stands for everywhere."""
    return subnet.prefixlen <= _WIDEST_ROUTE


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


def choose(
    family: Family, used: Iterable[Subnet], pools: Sequence[AddressPool], seed: str
) -> Subnet:
    """Return the first candidate that overlaps nothing in use.

    Args:
        family: Of the subnet.
        used: Destinations of the host's routes, subnets of its addresses, its name servers, and other networks.
        pools: The configuration's; without one of the family, private subnets.
        seed: What the machine's own part of private subnets of IPv6 derives from.

    Raises:
        InvalidConfig: A configured pool is invalid.
        SubnetFull: All overlap.
    """
    # Once each: of a network there are a route and an address.
    taken = {n for n in used if n.version == family.version and not is_everywhere(n)}
    spans = [span for span in map(_span, pools) if span[0].version == family.version]
    for candidate in _of_spans(spans) if spans else _private(family, seed):
        if not any(candidate.overlaps(one) for one in taken):
            return candidate
    raise SubnetFull(
        "all predefined address pools have been fully subnetted",
        what="subnet",
        which=", ".join(str(base) for base, _ in spans)
        or f"private subnets of IPv{family.version}",
        do="give the network a subnet, or set network.default_address_pools in the configuration",
    )


def _private(family: Family, seed: str) -> Iterator[Subnet]:
    if family is IPV4:
        yield from candidates()
        return
    # RFC 4193: 40 bits that no other site is likely to have, and 16 for subnets.
    own = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:5], "big")
    base = 0xFD << 120 | own << 80
    for number in range(1 << 16):
        yield ipaddress.IPv6Network((base | number << 64, 64))


def _span(pool: AddressPool) -> tuple[Subnet, int]:
    """Return the base of a configured pool and the prefix length of the subnets to cut from it."""
    try:
        base = ipaddress.ip_network(pool.base)
    except ValueError as error:
        raise _invalid_pool(pool, str(error)) from error
    if not base.prefixlen <= pool.size <= base.max_prefixlen - _FEWEST_BITS + 1:
        raise _invalid_pool(pool, f"subnets of /{pool.size} cannot be cut from it")
    return base, pool.size


def _of_spans(spans: Iterable[tuple[Subnet, int]]) -> Iterator[Subnet]:
    for base, size in spans:
        yield from base.subnets(new_prefix=size)


def check_pools(pools: Iterable[AddressPool]) -> None:
    """Check the configuration's pools.

    Raises:
        InvalidConfig: A subnet is invalid.
    """
    for pool in pools:
        _span(pool)


def _invalid_pool(pool: AddressPool, fault: str) -> InvalidConfig:
    return InvalidConfig(
        f"network.default_address_pools has {pool.base!r}: {fault}",
        what="configuration key",
        which="network.default_address_pools",
        do='give pools such as { base = "10.64.0.0/10", size = 24 }',
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
