"""Published ports, as they are asked for and as they are."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import cast

from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import InvalidPort

_MAX_PORT = 65535
_MAX_BLOCKS = 100
_PROTOCOLS = ("tcp", "udp", "sctp")
# All addresses of a family. Who names no address means both.
EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Publish:
    """Consecutive ports of one address of the host that lead to as many of a container."""

    # Of either family; 0.0.0.0 and :: stand for all of it.
    host_ip: str
    host_port: int
    container_port: int
    protocol: str
    count: int
    # Blocks of addresses that may reach it, without overlap; empty means all.
    allow: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return `0.0.0.0:8080/tcp` or `[::1]:8080-8089/udp`."""
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{host}:{_range(self.host_port, self.host_port + self.count - 1)}/{self.protocol}"

    def to_proto(self) -> PortMapping:
        """Return the message."""
        return PortMapping(
            host_ip=self.host_ip,
            host_port=self.host_port,
            container_port=self.container_port,
            protocol=self.protocol,
            count=self.count,
            allow=self.allow,
        )

    def sources(self, version: int) -> list[str]:
        """Return the blocks of addresses of IPv4 or IPv6 that may reach it, where not all may."""
        return [block for block in self.allow if ipaddress.ip_network(block).version == version]


@dataclass(frozen=True)
class PortRequest:
    """A checked wish for published ports.

    Attributes:
        host_ips: Addresses of the host; the ports are the same on each.
        optional: Whether addresses of a family that the host lacks are left out.
        first: Of the ports of the host to choose from; 0 means any free ones.
        last: The last one that the run may begin at.
        container_port: The first one.
        protocol: "tcp", "udp" or "sctp".
        count: How many consecutive ones.
        allow: See `Publish`.
    """

    host_ips: tuple[str, ...]
    optional: bool
    first: int
    last: int
    container_port: int
    protocol: str
    count: int
    allow: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return `8080/tcp` or `127.0.0.1:8080-8089/udp`."""
        address = "" if self.optional else f"{self.host_ips[0]}:"
        return f"{address}{_range(self.first, self.last + self.count - 1)}/{self.protocol}"

    def at(self, host_ip: str, host_port: int) -> Publish:
        """Return what it becomes on an address, from a port of the host on."""
        return Publish(
            host_ip, host_port, self.container_port, self.protocol, self.count, self.allow
        )


def _range(first: int, last: int) -> str:
    return str(first) if last <= first else f"{first}-{last}"


def check(mapping: PortMapping, default_ip: str = "") -> PortRequest:
    """Return what is asked for, with defaults filled in.

    Args:
        mapping: The wish.
        default_ip: Where a port is published that names no address; empty means on all of them.

    Raises:
        InvalidPort: The port, the protocol or the address is invalid.
    """
    request = PortRequest(
        host_ips=_addresses(mapping.host_ip or default_ip),
        optional=not (mapping.host_ip or default_ip),
        first=mapping.host_port,
        last=mapping.host_port_last or mapping.host_port,
        container_port=mapping.container_port,
        protocol=mapping.protocol or "tcp",
        count=mapping.count or 1,
        allow=_blocks(mapping.allow),
    )
    if request.protocol not in _PROTOCOLS:
        raise _invalid(request, f"has the protocol {request.protocol!r}", "use tcp, udp or sctp")
    if not 1 <= request.container_port <= _MAX_PORT - request.count + 1:
        raise _invalid(
            request, f"has the container port {request.container_port}", "use 1 to 65535"
        )
    if request.last > _MAX_PORT - request.count + 1:
        raise _invalid(request, "goes beyond 65535", "use host ports up to 65535")
    if request.last < request.first or (request.last and not request.first):
        raise _invalid(request, "has a range that ends before it begins", "give FIRST-LAST")
    return request


def _addresses(text: str) -> tuple[str, ...]:
    if not text:
        return EVERYWHERE
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(text.strip("[]"))
        if not getattr(address, "scope_id", None):
            return (str(address),)
    raise InvalidPort(
        f"ports cannot be published on {text!r}",
        what="address",
        which=text,
        do="give an address of the host, or none for all",
    )


def _blocks(texts: Sequence[str]) -> tuple[str, ...]:
    """Return blocks of addresses without overlap, which nftables does not take.

    Raises:
        InvalidPort: One is no block.
    """
    if len(texts) > _MAX_BLOCKS:
        raise InvalidPort(
            f"a port has {len(texts)} blocks of addresses that may use it",
            what="address",
            which=texts[0],
            do=f"give {_MAX_BLOCKS} at most",
        )
    blocks: dict[int, list[IPv4Network | IPv6Network]] = {4: [], 6: []}
    for text in texts:
        try:
            block = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError as error:
            raise InvalidPort(
                f"{text!r} is not a block of addresses",
                what="address",
                which=text,
                do="give one such as 192.0.2.0/24 or 2001:db8::/32",
            ) from error
        blocks[block.version].append(block)
    return tuple(
        str(block)
        for some in blocks.values()
        for block in ipaddress.collapse_addresses(cast("list[IPv4Network]", some))
    )


def _invalid(request: PortRequest, fault: str, advice: str) -> InvalidPort:
    return InvalidPort(
        f"the published port {request} {fault}", what="port", which=str(request), do=advice
    )


def from_json(items: Iterable[Sequence[str | int]]) -> list[Publish]:
    """Return what `to_json` was given."""
    return [
        Publish(str(i[0]), int(i[1]), int(i[2]), str(i[3]), int(i[4]), tuple(map(str, i[5:])))
        for i in items
    ]


def to_json(published: Iterable[Publish]) -> list[list[str | int]]:
    """Return lists that the database keeps as JSON."""
    return [
        [p.host_ip, p.host_port, p.container_port, p.protocol, p.count, *p.allow] for p in published
    ]
