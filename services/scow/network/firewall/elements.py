"""What the maps and sets of the engine's tables hold: where ports lead, and which bridges there are.

Elements are values, so that what is wanted and what libnftables lists can be compared; `change` makes commands of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scow.network import gateway_modes
from scow.network.firewall.nftables import Command
from scow.network.ipam.addresses import Address, Family, Subnet, family_of
from scow.network.ports.port_mapping import Publish

# By number: names would need /etc/protocols, which small systems lack.
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_PROTOCOL_NAMES = {each: name for name, number in PROTOCOLS.items() for each in (name, number)}
# Of ports. Those of `SOURCED` have a block of addresses in their keys, too.
PORT_MAPS = ("direct", "moved_address", "moved_port")
PORT_SETS = ("guarded", "allowed", "opened", "opened_to")
SOURCED = ("allowed", "opened_to")
# Of bridges, with what their keys are made of; and which of them are maps, to what.
BRIDGE_SETS: dict[str, tuple[str, ...]] = {
    "bridges": ("ifname",),
    "among": ("ifname", "ifname"),
    "from": ("ifname",),
    "into": ("ifname",),
    "within": ("address", "address"),
    "masqueraded": ("address",),
    "sources": ("address",),
}
BRIDGE_MAPS = {"among": "verdict", "from": "verdict", "into": "verdict", "sources": "address"}
_DROP, _ACCEPT = "drop", "accept"
# The chain that a packet into a bridge goes to.
_INTO = {
    gateway_modes.NAT: "protected",
    gateway_modes.UNPROTECTED: "unprotected",
    gateway_modes.ROUTED: "routed",
    gateway_modes.ISOLATED: "protected",
}


@dataclass(frozen=True)
class Bridge:
    """A subnet behind a bridge, as far as rules go.

    Attributes:
        internal: There is no way out of it, and none in.
        icc: Whether its containers may talk to each other.
        masquerade: Whether packets to elsewhere get the host's address.
        snat: The source address that they get; empty means that of the link they leave by.
        mode: See `gateway_modes`.
        trusted: Links from which all ports of its containers are reached.
    """

    name: str
    subnet: Subnet
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    snat: str = ""
    mode: str = gateway_modes.NAT
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """A container's published port; of the family of its address, or else the relay's.

    Attributes:
        routed: Whether it is reached at the container's address, and no port of the host leads to it.
    """

    address: Address
    publish: Publish
    routed: bool = False


@dataclass(frozen=True)
class PortElement:
    """An element of a map, what leads from ports of the host to a container, or of a set, who may use them.

    Attributes:
        host_ip: 0.0.0.0 or :: mean any; of "opened" and "opened_to" the container's.
        value: The container's address or port; of "allowed" and "opened_to" the source.
    """

    map: str
    host_ip: str
    protocol: str
    first: int
    last: int
    value: str | int


@dataclass(frozen=True)
class BridgeElement:
    """An element of a set or map of bridges.

    Attributes:
        key: Names of links, or blocks of addresses.
        value: "accept", "drop", the chain to go on with, or an address; empty in sets.
    """

    map: str
    key: tuple[str, ...]
    value: str = ""


Element = PortElement | BridgeElement


def of_bridges(bridges: Iterable[Bridge]) -> list[BridgeElement]:
    """Return the elements of bridges."""
    return [element for bridge in bridges for element in _of_bridge(bridge)]


def _of_bridge(bridge: Bridge) -> list[BridgeElement]:
    name, subnet = bridge.name, str(bridge.subnet)
    found = [
        BridgeElement("bridges", (name,)),
        BridgeElement("among", (name, name), _ACCEPT if bridge.icc else "protected"),
        BridgeElement("into", (name,), _DROP if bridge.internal else _INTO[bridge.mode]),
        BridgeElement("within", (subnet, subnet)),
        *(BridgeElement("among", (link, name), _ACCEPT) for link in bridge.trusted),
    ]
    if bridge.internal:
        found.append(BridgeElement("from", (name,), _DROP))
    elif bridge.masquerade and bridge.mode != gateway_modes.ROUTED:
        if bridge.snat:
            found.append(BridgeElement("sources", (subnet,), bridge.snat))
        else:
            found.append(BridgeElement("masqueraded", (subnet,)))
    return found


def of_ports(published: Iterable[Published]) -> list[PortElement]:
    """Return the elements of published ports: one interval where ports stay the same, else one for each port."""
    found: list[PortElement] = []
    for item in published:
        p, address = item.publish, str(item.address)
        if item.routed:
            found += _opened(p, address)
            continue
        found += _guards(p)
        if p.host_port == p.container_port:
            last = p.host_port + p.count - 1
            found.append(PortElement("direct", p.host_ip, p.protocol, p.host_port, last, address))
            continue
        for offset in range(p.count):
            port = p.host_port + offset
            found.append(PortElement("moved_address", p.host_ip, p.protocol, port, port, address))
            inside = p.container_port + offset
            found.append(PortElement("moved_port", p.host_ip, p.protocol, port, port, inside))
    return found


def _opened(p: Publish, address: str) -> list[PortElement]:
    place = (address, p.protocol, p.container_port, p.container_port + p.count - 1)
    if not p.allow:
        return [PortElement("opened", *place, "")]
    sources = p.sources(family_of(address).version)
    return [PortElement("opened_to", *place, source) for source in sources]


def _guards(p: Publish) -> list[PortElement]:
    """Return the elements that keep all but some sources from published ports."""
    if not p.allow:
        return []
    place = (p.host_ip, p.protocol, p.host_port, p.host_port + p.count - 1)
    family = family_of(p.host_ip)
    sources = p.sources(family.version)
    if str(family.everywhere) in sources:
        return []
    return [
        PortElement("guarded", *place, ""),
        *(PortElement("allowed", *place, source) for source in sources),
    ]


def change(family: Family, table: str, verb: str, changed: Iterable[Element]) -> list[Command]:
    """Return the commands that "add" or "delete" elements of a family's table."""
    by_map: dict[str, list[Any]] = {}
    for element in changed:
        key, value = (
            (_port_key(element), element.value if element.map in PORT_MAPS else None)
            if isinstance(element, PortElement)
            else (_bridge_key(element), _bridge_value(element))
        )
        entry = key if value is None or verb != "add" else [key, value]
        by_map.setdefault(element.map, []).append(entry)
    head = {"family": family.nft, "table": table}
    return [
        {verb: {"element": {**head, "name": name, "elem": entries}}}
        for name, entries in by_map.items()
    ]


def _port_key(element: PortElement) -> Any:
    family = family_of(element.host_ip)
    ports: Any = element.first
    if element.first != element.last:
        ports = {"range": [element.first, element.last]}
    key = [_address_range(element.host_ip, family), PROTOCOLS[element.protocol], ports]
    if element.map in SOURCED:
        key.append(prefix(ipaddress.ip_network(element.value)))
    return {"concat": key}


def _bridge_key(element: BridgeElement) -> Any:
    parts: list[Any] = [
        prefix(ipaddress.ip_network(part)) if kind == "address" else part
        for kind, part in zip(BRIDGE_SETS[element.map], element.key, strict=True)
    ]
    return parts[0] if len(parts) == 1 else {"concat": parts}


def _bridge_value(element: BridgeElement) -> Any:
    kind = BRIDGE_MAPS.get(element.map)
    if kind != "verdict":
        return element.value or None
    if element.value in (_ACCEPT, _DROP):
        return {element.value: None}
    return {"goto": {"target": element.value}}


def _address_range(host_ip: str, family: Family) -> Any:
    if host_ip != family.unspecified:
        return host_ip
    return {"range": [family.unspecified, str(family.everywhere.broadcast_address)]}


def prefix(subnet: Subnet) -> Any:
    """Return a block of addresses as libnftables has it."""
    if subnet.prefixlen == subnet.max_prefixlen:
        return str(subnet.network_address)
    return {"prefix": {"addr": str(subnet.network_address), "len": subnet.prefixlen}}


def parse(listed: Sequence[Command], family: Family) -> list[Element]:
    """Return the elements of the maps and sets of a listed table."""
    found: list[Element] = []
    for entry in listed:
        described = entry.get("map") or entry.get("set")
        name = described["name"] if described is not None else ""
        items = described.get("elem", ()) if described is not None else ()
        if name in BRIDGE_SETS:
            found += [_parse_bridge(name, item, family) for item in items]
        elif name in (*PORT_MAPS, *PORT_SETS):
            found += [_parse_port(name, item, family) for item in items]
    return found


def _parse_port(name: str, item: Any, family: Family) -> PortElement:
    key, value = item if name in PORT_MAPS else (item, "")
    address, protocol, ports, *source = key["concat"]
    if source:
        value = _listed_prefix(source[0], family)
    first, last = ports["range"] if isinstance(ports, dict) else (ports, ports)
    host_ip = family.unspecified if isinstance(address, dict) else address
    protocol = _PROTOCOL_NAMES.get(protocol, str(protocol))
    return PortElement(name, host_ip, protocol, first, last, value)


def _parse_bridge(name: str, item: Any, family: Family) -> BridgeElement:
    key, value = item if name in BRIDGE_MAPS else (item, "")
    parts = key["concat"] if isinstance(key, dict) and "concat" in key else [key]
    if isinstance(value, dict):
        [(verb, more)] = value.items()
        value = more["target"] if more else verb
    return BridgeElement(
        name,
        tuple(
            _listed_prefix(part, family) if kind == "address" else part
            for kind, part in zip(BRIDGE_SETS[name], parts, strict=True)
        ),
        value,
    )


def _listed_prefix(listed: Any, family: Family) -> str:
    """Return a block of addresses that may be listed as one address, a prefix or a range."""
    if not isinstance(listed, dict):
        return f"{listed}/{family.everywhere.max_prefixlen}"
    if "prefix" in listed:
        return f"{listed['prefix']['addr']}/{listed['prefix']['len']}"
    first, last = map(ipaddress.ip_address, listed["range"])
    return str(next(ipaddress.summarize_address_range(first, last)))
