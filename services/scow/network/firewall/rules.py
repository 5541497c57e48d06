"""The engine's own nftables tables, one a family: what they hold, as commands and as facts to compare with.

::

    table FAMILY NAME {
      map direct            { host address . protocol . ports : container }    container's ports are the host's
      map moved_address     { host address . protocol . port : container }     they are not:
      map moved_port        { host address . protocol . port : container's port }
      set guarded           { host address . protocol . ports }            not for everybody:
      set allowed           { host address . protocol . ports . source }   for these
      chain raw             containers neither reach nor claim to be the host's loopback, in spite of route_localnet
      chain guard           guarded ports of the host, from a source that is not allowed: nothing
      chain forward         into a container: its own network, answers, published ports; else nothing
      chain prerouting, output -> publish                                      to an address of the host: DNAT
      chain postrouting     masquerade: to elsewhere; from loopback; between containers over a published port
    }

A family that no network has a subnet of has no table.
Every rule's comment has a checksum of the rule, so that a comparison needs no understanding of expressions.
A verdict of "accept" here cannot override the drop of another table: where docker has set the policy of
`ip filter FORWARD` to drop, its chain DOCKER-USER must let the bridge pass (see `forward_is_dropped`).
"""

from __future__ import annotations

import ipaddress
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scow.network.firewall.nftables import Command
from scow.network.ipam.addresses import Address, Family, Subnet, family_of
from scow.network.ports.port_mapping import Publish

# By number: names would need /etc/protocols, which small systems lack.
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_PROTOCOL_NAMES = {each: name for name, number in _PROTOCOLS.items() for each in (name, number)}
_MAPS = ("direct", "moved_address", "moved_port")
_SETS = ("guarded", "allowed")
# Hooks with the priorities that nft(8) calls raw, filter, dstnat and srcnat.
_CHAINS: dict[str, dict[str, Any]] = {
    "raw": {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"},
    # After connections are tracked, before addresses are translated.
    "guard": {"type": "filter", "hook": "prerouting", "prio": -110, "policy": "accept"},
    "forward": {"type": "filter", "hook": "forward", "prio": 0, "policy": "accept"},
    "publish": {},
    "prerouting": {"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"},
    "output": {"type": "nat", "hook": "output", "prio": -100, "policy": "accept"},
    "postrouting": {"type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"},
}


@dataclass(frozen=True)
class Bridge:
    """A subnet behind a bridge, as far as rules go.

    Attributes:
        internal: There is no way out of it, and none in.
        icc: Whether its containers may talk to each other.
        masquerade: Whether packets to elsewhere get the host's address.
        snat: The source address that they get; empty means that of the link they leave by.
    """

    name: str
    subnet: Subnet
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    snat: str = ""


@dataclass(frozen=True)
class Published:
    """A container's published port; of the family of its address, or else the relay's."""

    address: Address
    publish: Publish


@dataclass(frozen=True)
class Element:
    """An element of a map, what leads from ports of the host to a container, or of a set, who may use them.

    Attributes:
        value: The container's address or port; of "allowed" the source.
    """

    map: str
    # 0.0.0.0 or :: mean any.
    host_ip: str
    protocol: str
    first: int
    last: int
    value: str | int


def elements(published: Iterable[Published]) -> list[Element]:
    """Return the elements of published ports: one interval where ports stay the same, else one for each port."""
    found: list[Element] = []
    for item in published:
        p, address = item.publish, str(item.address)
        found += _guards(p)
        if p.host_port == p.container_port:
            last = p.host_port + p.count - 1
            found.append(Element("direct", p.host_ip, p.protocol, p.host_port, last, address))
            continue
        for offset in range(p.count):
            port = p.host_port + offset
            found.append(Element("moved_address", p.host_ip, p.protocol, port, port, address))
            inside = p.container_port + offset
            found.append(Element("moved_port", p.host_ip, p.protocol, port, port, inside))
    return found


def _guards(p: Publish) -> list[Element]:
    """Return the elements that keep all but some sources from published ports."""
    if not p.allow:
        return []
    place = (p.host_ip, p.protocol, p.host_port, p.host_port + p.count - 1)
    family = family_of(p.host_ip)
    sources = p.sources(family.version)
    if str(family.everywhere) in sources:
        return []
    return [
        Element("guarded", *place, ""),
        *(Element("allowed", *place, source) for source in sources),
    ]


def change_elements(table: str, verb: str, changed: Iterable[Element]) -> list[Command]:
    """Return the commands that "add" or "delete" elements."""
    by_map: dict[tuple[str, str], list[Any]] = {}
    for element in changed:
        family, protocol = family_of(element.host_ip), _PROTOCOLS[element.protocol]
        address = _address_range(element.host_ip, family)
        key = [address, protocol, _ports(element)]
        if element.map == "allowed":
            key.append(_prefix(ipaddress.ip_network(element.value)))
        entry: Any = {"concat": key}
        if verb == "add" and element.map in _MAPS:
            entry = [entry, element.value]
        by_map.setdefault((family.nft, element.map), []).append(entry)
    return [
        {verb: {"element": {"family": family, "table": table, "name": name, "elem": entries}}}
        for (family, name), entries in by_map.items()
    ]


def _address_range(host_ip: str, family: Family) -> Any:
    if host_ip != family.unspecified:
        return host_ip
    return {"range": [family.unspecified, str(family.everywhere.broadcast_address)]}


def _ports(element: Element) -> Any:
    return (
        element.first if element.first == element.last else {"range": [element.first, element.last]}
    )


def build(
    family: Family, table: str, bridges: Sequence[Bridge], published: Iterable[Published]
) -> list[Command]:
    """Return the commands that put a family's table in place of whatever it is now, in one transaction.

    Args:
        family: Of the table, of the bridges' subnets and of what is published.
        table: Its name.
        bridges: Without any there is no table.
        published: The ports.
    """
    commands = remove(family, table)
    if not bridges:
        return commands
    commands.append({"add": {"table": {"family": family.nft, "name": table}}})
    address = f"ipv{family.version}_addr"
    for name in _MAPS:
        value = "inet_service" if name == "moved_port" else address
        key = [address, "inet_proto", "inet_service"]
        described = {"type": key, "map": value, "flags": ["interval"]}
        commands.append(_add(family, "map", table, name=name, **described))
    key = [address, "inet_proto", "inet_service"]
    for name, kind in (("guarded", key), ("allowed", [*key, address])):
        commands.append(_add(family, "set", table, name=name, type=kind, flags=["interval"]))
    for name, chain in _CHAINS.items():
        commands.append(_add(family, "chain", table, name=name, **chain))
    for name, expression, text in _rules(family, bridges):
        commands.append(_add(family, "rule", table, chain=name, expr=expression, comment=text))
    return commands + change_elements(table, "add", elements(published))


def remove(family: Family, table: str) -> list[Command]:
    """Return the commands that remove a table, if it is there."""
    head = {"table": {"family": family.nft, "name": table}}
    return [{"add": head}, {"delete": head}]


def _add(family: Family, kind: str, table: str, **described: Any) -> Command:
    return {"add": {kind: {"family": family.nft, "table": table, **described}}}


def _rules(family: Family, bridges: Sequence[Bridge]) -> list[tuple[str, list[Any], str]]:
    """Return chain, expression and comment of each rule, in order."""
    rules: list[tuple[str, list[Any]]] = []
    for bridge in bridges:
        rules += _bridge_rules(family, bridge)
    local = _match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    jump = {"jump": {"target": "publish"}}
    transport = _match({"meta": {"key": "l4proto"}}, {"set": sorted(_PROTOCOLS.values())})
    direct, address, port = (_lookup(family, name) for name in _MAPS)
    guarded, allowed = _key(family), _key(family, _header(family, "saddr"))
    new = _match({"ct": {"key": "state"}}, "new", "in")
    to_others = _match(_header(family, "daddr"), _prefix(family.loopback), "!=")
    # What the host sends to itself comes this way where nftables does not divert loopback.
    from_others = _match({"meta": {"key": "iifname"}}, "lo", "!=")
    rules += [
        (
            "guard",
            [
                from_others,
                new,
                transport,
                local,
                _in(guarded, "guarded"),
                _in(allowed, "allowed", "!="),
                {"drop": None},
            ],
        ),
        ("publish", [transport, {"dnat": {"addr": direct}}]),
        ("publish", [transport, {"dnat": {"addr": address, "port": port}}]),
        # A neighbour could address 127.0.0.1 by the host's MAC address; the host's own packets pass "output".
        ("prerouting", [to_others, local, jump]),
        ("output", [local, jump] if family.diverts_loopback else [to_others, local, jump]),
    ]
    return [(chain, expression, comment(expression)) for chain, expression in rules]


def _bridge_rules(family: Family, bridge: Bridge) -> list[tuple[str, list[Any]]]:
    source, target = _header(family, "saddr"), _header(family, "daddr")
    subnet, loopback = _prefix(bridge.subnet), _prefix(family.loopback)
    into = _match({"meta": {"key": "oifname"}}, bridge.name)
    not_into = _match({"meta": {"key": "oifname"}}, bridge.name, "!=")
    out_of = _match({"meta": {"key": "iifname"}}, bridge.name)
    not_out_of = _match({"meta": {"key": "iifname"}}, bridge.name, "!=")
    known = _match({"ct": {"key": "state"}}, ["established", "related"], "in")
    diverted = _match({"ct": {"key": "status"}}, "dnat", "in")
    from_here, to_here = _match(source, subnet), _match(target, subnet)
    masquerade = {"masquerade": None}
    outwards = {"snat": {"addr": bridge.snat}} if bridge.snat else masquerade
    rules: list[tuple[str, list[Any]]] = [
        ("raw", [out_of, _match(source, loopback), {"drop": None}]),
        ("raw", [out_of, _match(target, loopback), {"drop": None}]),
        ("forward", [into, known, {"accept": None}]),
        ("forward", [into, diverted, {"accept": None}]),
        (
            "forward",
            [into, {"drop": None}] if not bridge.icc else [into, not_out_of, {"drop": None}],
        ),
        ("postrouting", [into, _match(source, loopback), masquerade]),
        # The answer must come back this way, not over the bridge, or its source is not what was asked.
        ("postrouting", [from_here, to_here, diverted, masquerade]),
    ]
    if bridge.internal:
        rules[2:2] = [
            ("forward", [out_of, not_into, {"drop": None}]),
            ("forward", [into, not_out_of, {"drop": None}]),
        ]
    elif bridge.masquerade:
        rules.append(("postrouting", [from_here, not_into, outwards]))
    return rules


def _match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _header(family: Family, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": family.nft, "field": field}}


def _prefix(subnet: Subnet) -> Any:
    if subnet.prefixlen == subnet.max_prefixlen:
        return str(subnet.network_address)
    return {"prefix": {"addr": str(subnet.network_address), "len": subnet.prefixlen}}


def _lookup(family: Family, name: str) -> dict[str, Any]:
    return {"map": {"key": _key(family), "data": f"@{name}"}}


def _key(family: Family, *more: Any) -> dict[str, Any]:
    port = {"payload": {"protocol": "th", "field": "dport"}}
    return {"concat": [_header(family, "daddr"), {"meta": {"key": "l4proto"}}, port, *more]}


def _in(key: Any, name: str, operator: str = "==") -> dict[str, Any]:
    return _match(key, f"@{name}", operator)


def comment(expression: list[Any]) -> str:
    """Return a rule's comment, which tells whether it is the one that it must be."""
    return f"scow {zlib.crc32(json.dumps(expression).encode()):08x}"


def differences(
    family: Family,
    listed: Sequence[Command] | None,
    bridges: Sequence[Bridge],
    published: Iterable[Published],
) -> str:
    """Return what a listed table lacks or has too much, in words; empty when it is as it must be."""
    if not bridges:
        return "" if listed is None else "the table had no network"
    if listed is None:
        return "the table was missing"
    chains = {entry["chain"]["name"] for entry in listed if "chain" in entry}
    if missing := sorted(set(_CHAINS) - chains):
        return f"chains were missing: {', '.join(missing)}"
    rules = [entry["rule"] for entry in listed if "rule" in entry]
    present = sorted((rule["chain"], rule.get("comment", "")) for rule in rules)
    if present != sorted((chain, text) for chain, _, text in _rules(family, bridges)):
        return "rules were changed"
    if set(parse_elements(listed, family)) != set(elements(published)):
        return "published ports were changed"
    return ""


def parse_elements(listed: Sequence[Command], family: Family) -> list[Element]:
    """Return the elements of the maps of a listed table."""
    found = []
    for entry in listed:
        described = entry.get("map") or entry.get("set")
        if described is None or described["name"] not in (*_MAPS, *_SETS):
            continue
        for item in described.get("elem", ()):
            key, value = item if described["name"] in _MAPS else (item, "")
            address, protocol, ports, *source = key["concat"]
            if source:
                value = _listed_prefix(source[0], family)
            first, last = ports["range"] if isinstance(ports, dict) else (ports, ports)
            host_ip = family.unspecified if isinstance(address, dict) else address
            name = _PROTOCOL_NAMES.get(protocol, str(protocol))
            found.append(Element(described["name"], host_ip, name, first, last, value))
    return found


def _listed_prefix(listed: Any, family: Family) -> str:
    """Return a block of addresses that may be listed as one address, a prefix or a range."""
    if not isinstance(listed, dict):
        return f"{listed}/{family.everywhere.max_prefixlen}"
    if "prefix" in listed:
        return f"{listed['prefix']['addr']}/{listed['prefix']['len']}"
    first, last = map(ipaddress.ip_address, listed["range"])
    return str(next(ipaddress.summarize_address_range(first, last)))


def forward_is_dropped(chains: Iterable[Command]) -> bool:
    """Tell whether another table's policy drops what is forwarded, as docker's does."""
    return any(
        chain.get("family") == "ip"
        and chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        for chain in chains
    )
