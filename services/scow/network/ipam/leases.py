"""Leases: which addresses of its network an endpoint gets."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Sequence

from scow.contract.errors import AddressInUse, InvalidArgument, SubnetFull
from scow.network.ipam.addresses import IPV4, Address, Interface, Pool, of_family

_MAC_PREFIX = bytes((0x0A, 0x5C))


def lease(
    pools: Sequence[Pool], taken: Collection[Address], wanted: Iterable[str]
) -> tuple[Interface, ...]:
    """Return an address of each pool.

    Args:
        pools: The network's.
        taken: Addresses that are given in it.
        wanted: Addresses that were asked for, at most one of each family.

    Raises:
        InvalidArgument: A wanted one is in no pool, or no endpoint can have it.
        AddressInUse: Somebody has it.
        SubnetFull: A pool has none free.
    """
    asked: dict[Pool, Address] = {}
    for text in wanted:
        pool, address = _requested(pools, taken, text)
        asked[pool] = address
    found = [(pool, asked[pool] if pool in asked else _next(pool, taken)) for pool in pools]
    return tuple(ipaddress.ip_interface(f"{a}/{p.subnet.prefixlen}") for p, a in found)


def _next(pool: Pool, taken: Collection[Address]) -> Address:
    """Return a free address: the next one after the last that was given, so that none is soon used again."""
    span, reserved = pool.ip_range or pool.subnet, pool.reserved()
    size = span.num_addresses
    last = pool.last if pool.last is not None and pool.last in span else None
    start = int(last) + 1 - int(span.network_address) if last is not None else 0
    for step in range(size):
        # An offset, because a small number alone would be taken for an address of IPv4.
        address = span.network_address + (start + step) % size
        if address not in taken and address not in reserved:
            return address
    raise SubnetFull(
        f"all addresses of {span} are in use",
        what="subnet",
        which=str(span),
        do="remove containers, or give the network a larger subnet",
    )


def _requested(
    pools: Sequence[Pool], taken: Collection[Address], wanted: str
) -> tuple[Pool, Address]:
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError as error:
        raise _no_address(pools, wanted) from error
    for pool in pools:
        if address not in pool.subnet or address in pool.reserved():
            continue
        if address in taken:
            raise AddressInUse(
                f"Address already in use: {address}",
                what="address",
                which=str(address),
                do="choose another one or leave it out",
            )
        return pool, address
    raise _no_address(pools, wanted)


def _no_address(pools: Sequence[Pool], wanted: str) -> InvalidArgument:
    ranges = [f"{p.subnet.network_address + 2} to {p.subnet.broadcast_address - 1}" for p in pools]
    return InvalidArgument(
        f"Invalid address {wanted}: It does not belong to any of this network's subnets, or is one that none can have",
        what="address",
        which=wanted,
        do=f"give one of {', '.join(ranges)}",
    )


def mac_of(addresses: Sequence[Interface]) -> str:
    """Return a MAC address derived from IP addresses, so that no neighbour's cache is wrong after reuse."""
    address = of_family(addresses, IPV4) or addresses[0]
    packed = address.packed
    # All of an IPv4 address; of IPv6 as much as there is room for.
    own = packed if len(packed) == 4 else hashlib.sha256(packed).digest()[:4]
    return (_MAC_PREFIX + own).hex(":")
