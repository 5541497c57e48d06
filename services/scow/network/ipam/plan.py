"""The plan of a network's addresses: from what is asked for to pools."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import InvalidArgument, SubnetInUse
from scow.core.config import AddressPool
from scow.network.ipam import subnets
from scow.network.ipam.addresses import FAMILIES, Address, Family, Pool, Subnet

# Given what the host has to do with, returns a network's pools.
Choice = Callable[[Sequence[Subnet]], tuple[Pool, ...]]
# The subnet's own address, the gateway, a container and the last one.
_FEWEST = 4


@dataclass(frozen=True)
class Plan:
    """What a network's pools are made of.

    Attributes:
        asked: Pools of the subnets that were asked for.
        chosen: Families of which a subnet is to be chosen.
        others: Subnets of other networks, which none may overlap.
        defaults: The configuration's pools.
        seed: See `subnets.choose`.
    """

    asked: tuple[Pool, ...]
    chosen: tuple[Family, ...]
    others: tuple[tuple[str, Subnet], ...]
    defaults: tuple[AddressPool, ...]
    seed: str

    def pools(self, used: Sequence[Subnet]) -> tuple[Pool, ...]:
        """Return the network's pools, IPv4 first.

        Args:
            used: What the host has to do with.

        Raises:
            SubnetInUse: One that was asked for overlaps one of another network.
            SubnetFull: None is free.
        """
        for pool in self.asked:
            self._check_free(pool.subnet)
        found = list(self.asked)
        for family in self.chosen:
            taken = [*used, *(s for _, s in self.others), *(p.subnet for p in found)]
            chosen = subnets.choose(family, taken, self.defaults, self.seed)
            found.append(Pool.of(chosen))
        return tuple(sorted(found, key=lambda pool: pool.subnet.version))

    def _check_free(self, subnet: Subnet) -> None:
        for name, other in self.others:
            if other.version == subnet.version and other.overlaps(subnet):
                raise SubnetInUse(
                    "Pool overlaps with other one on this address space",
                    what="subnet",
                    which=str(subnet),
                    do=f"choose another one: the network {name} has {other}",
                )


def families(asked: Sequence[Pool], versions: Collection[int]) -> tuple[Family, ...]:
    """Return the families of which a network needs a subnet that was not asked for, of those that it is to have."""
    wanted = set(versions) - {pool.subnet.version for pool in asked}
    return tuple(family for family in FAMILIES if family.version in wanted)


def asked(messages: Iterable[pb.Subnet], versions: Collection[int]) -> tuple[Pool, ...]:
    """Return the pools of subnets that are asked for.

    A message without a subnet that has a gateway or a range belongs to none: Docker ignores it where it is empty.

    Raises:
        InvalidArgument: An address is invalid, or not in its subnet; or subnets overlap.
    """
    found: list[Pool] = []
    for message in messages:
        if not message.subnet:
            if message.gateway or message.ip_range or message.aux_addresses:
                raise _invalid(
                    "subnet", "", "an ip-range, a gateway or an auxiliary address needs a subnet"
                )
            continue
        pool = _pool(message)
        if (version := pool.subnet.version) not in versions:
            raise _invalid(
                "subnet",
                message.subnet,
                f"IPv{version} is not enabled on the network",
                f"ask for IPv{version} (--ipv{version})",
            )
        for other in found:
            if other.subnet.version == pool.subnet.version:
                raise _several(other.subnet, pool.subnet)
        found.append(pool)
    return tuple(found)


def _several(first: Subnet, second: Subnet) -> InvalidArgument:
    fault = "bridge driver doesn't support multiple subnets"
    if first.overlaps(second):
        fault = f"it overlaps {first}: multiple overlapping subnet configuration is not supported"
    return _invalid("subnet", str(second), fault, "give one subnet of each family")


def _pool(message: pb.Subnet) -> Pool:
    subnet = _network("subnet", message.subnet)
    if subnet.num_addresses < _FEWEST:
        raise _invalid(
            "subnet", message.subnet, "it is too small", "give one with four addresses or more"
        )
    span = _network("ip-range", message.ip_range) if message.ip_range else None
    if span is not None and not _is_within(span, subnet):
        raise _invalid(
            "ip-range", message.ip_range, f"no matching subnet for range {message.ip_range}"
        )
    aux = tuple(
        (name, _inside("auxiliary address", text, subnet))
        for name, text in sorted(message.aux_addresses.items())
    )
    pool = Pool(subnet, subnet.network_address + 1, ip_range=span, aux=aux)
    if message.gateway:
        return replace(pool, gateway=_inside("gateway", message.gateway, subnet))
    return replace(pool, gateway=_first(pool), gateway_chosen=True)


def _is_within(span: Subnet, subnet: Subnet) -> bool:
    if span.version != subnet.version or span.prefixlen < subnet.prefixlen:
        return False
    return span.network_address in subnet


def _first(pool: Pool) -> Address:
    """Return the first address of a pool that nobody has: its gateway, where none is named."""
    span = pool.ip_range or pool.subnet
    taken = {address for _, address in pool.aux} | {pool.subnet.network_address}
    for number in range(span.num_addresses):
        if (address := span.network_address + number) not in taken:
            return address
    raise _invalid("ip-range", str(span), "it has no address for the gateway")


def _network(what: str, text: str) -> Subnet:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise _invalid(what, text, str(error), "give a CIDR such as 10.1.0.0/16") from error


def _inside(what: str, text: str, subnet: Subnet) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise _invalid(what, text, str(error), "give an IP address") from error
    ends = {subnet.network_address, subnet.broadcast_address} if subnet.version == 4 else set()
    if address not in subnet or address in ends:
        raise _invalid(
            what, text, f"no matching subnet for {what} {text}", f"give an address in {subnet}"
        )
    return address


def _invalid(what: str, which: str, fault: str, do: str = "") -> InvalidArgument:
    named = f"invalid {what} {which}: " if which else ""
    return InvalidArgument(f"{named}{fault}", what=what, which=which, do=do)
