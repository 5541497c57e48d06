"""The engine's own nftables table: what it holds, as commands for libnftables and as facts to compare with.

::

    table ip NAME {
      map direct            { host address . protocol . ports : container }    container's ports are the host's
      map moved_address     { host address . protocol . port : container }     they are not:
      map moved_port        { host address . protocol . port : container's port }
      chain raw             containers neither reach nor claim to be the host's 127.0.0.0/8, in spite of route_localnet
      chain forward         into a container: its own network, answers, published ports; else nothing
      chain prerouting, output -> publish                                      to an address of the host: DNAT
      chain postrouting     masquerade: to elsewhere; from 127.0.0.1; between containers over a published port
    }

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
from scow.network.ports.publish import Publish

FAMILY = "ip"
_ANY = "0.0.0.0"
_LOOPBACK = {"prefix": {"addr": "127.0.0.0", "len": 8}}
_MAPS = {"direct": "ipv4_addr", "moved_address": "ipv4_addr", "moved_port": "inet_service"}
# By number: names would need /etc/protocols, which small systems lack.
_PROTOCOLS = {"tcp": 6, "udp": 17}
_PROTOCOL_NAMES = {"tcp": "tcp", "udp": "udp", 6: "tcp", 17: "udp"}
_KEY_TYPE = ["ipv4_addr", "inet_proto", "inet_service"]
# Hooks with the priorities that nft(8) calls raw, filter, dstnat and srcnat.
_CHAINS: dict[str, dict[str, Any]] = {
    "raw": {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"},
    "forward": {"type": "filter", "hook": "forward", "prio": 0, "policy": "accept"},
    "publish": {},
    "prerouting": {"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"},
    "output": {"type": "nat", "hook": "output", "prio": -100, "policy": "accept"},
    "postrouting": {"type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"},
}


@dataclass(frozen=True)
class Bridge:
    """A network with a bridge, as far as rules go."""

    name: str
    subnet: str


@dataclass(frozen=True)
class Published:
    """A container's published port."""

    address: str
    publish: Publish


@dataclass(frozen=True)
class Element:
    """An element of a map: what leads from ports of the host to a container."""

    map: str
    # 0.0.0.0 means any.
    host_ip: str
    protocol: str
    first: int
    last: int
    value: str | int


def elements(published: Iterable[Published]) -> list[Element]:
    """Return the elements of published ports: one interval where ports stay the same, else one for each port."""
    found: list[Element] = []
    for item in published:
        p = item.publish
        if ":" in p.host_ip:
            continue  # the relay's
        if p.host_port == p.container_port:
            last = p.host_port + p.count - 1
            found.append(Element("direct", p.host_ip, p.protocol, p.host_port, last, item.address))
            continue
        for offset in range(p.count):
            port = p.host_port + offset
            found.append(Element("moved_address", p.host_ip, p.protocol, port, port, item.address))
            inside = p.container_port + offset
            found.append(Element("moved_port", p.host_ip, p.protocol, port, port, inside))
    return found


def change_elements(table: str, verb: str, changed: Iterable[Element]) -> list[Command]:
    """Return the commands that "add" or "delete" elements."""
    by_map: dict[str, list[Any]] = {}
    for element in changed:
        protocol = _PROTOCOLS[element.protocol]
        entry: Any = {"concat": [_address_range(element.host_ip), protocol, _ports(element)]}
        if verb == "add":
            entry = [entry, element.value]
        by_map.setdefault(element.map, []).append(entry)
    return [
        {verb: {"element": {"family": FAMILY, "table": table, "name": name, "elem": entries}}}
        for name, entries in by_map.items()
    ]


def _address_range(host_ip: str) -> Any:
    return host_ip if host_ip != _ANY else {"range": [_ANY, "255.255.255.255"]}


def _ports(element: Element) -> Any:
    return (
        element.first if element.first == element.last else {"range": [element.first, element.last]}
    )


def build(table: str, bridges: Sequence[Bridge], published: Iterable[Published]) -> list[Command]:
    """Return the commands that put the whole table in place of whatever it is now, in one transaction."""
    head = {"table": {"family": FAMILY, "name": table}}
    commands: list[Command] = [{"add": head}, {"delete": head}, {"add": head}]
    for name, value_type in _MAPS.items():
        described = {"type": _KEY_TYPE, "map": value_type, "flags": ["interval"]}
        commands.append(_add("map", table, name=name, **described))
    commands += [_add("chain", table, name=name, **chain) for name, chain in _CHAINS.items()]
    for chain, expression, comment in _rules(bridges):
        commands.append(_add("rule", table, chain=chain, expr=expression, comment=comment))
    return commands + change_elements(table, "add", elements(published))


def remove(table: str) -> list[Command]:
    """Return the commands that remove the table, if it is there."""
    head = {"table": {"family": FAMILY, "name": table}}
    return [{"add": head}, {"delete": head}]


def _add(kind: str, table: str, **described: Any) -> Command:
    return {"add": {kind: {"family": FAMILY, "table": table, **described}}}


def _rules(bridges: Sequence[Bridge]) -> list[tuple[str, list[Any], str]]:
    """Return chain, expression and comment of each rule, in order."""
    rules: list[tuple[str, list[Any]]] = []
    for bridge in bridges:
        rules += _bridge_rules(bridge)
    local = {"==": [{"fib": {"result": "type", "flags": ["daddr"]}}, "local"]}
    jump = {"jump": {"target": "publish"}}
    transport = _match({"meta": {"key": "l4proto"}}, {"set": sorted(_PROTOCOLS.values())})
    moved = {"addr": _lookup("moved_address"), "port": _lookup("moved_port")}
    rules += [
        ("publish", [transport, {"dnat": {"addr": _lookup("direct")}}]),
        ("publish", [transport, {"dnat": moved}]),
        # A neighbour could address 127.0.0.1 by the host's MAC address; the host's own packets pass "output".
        ("prerouting", [_match(_ip("daddr"), _LOOPBACK, "!="), _fib(local), jump]),
        ("output", [_fib(local), jump]),
    ]
    return [(chain, expression, _comment(expression)) for chain, expression in rules]


def _bridge_rules(bridge: Bridge) -> list[tuple[str, list[Any]]]:
    subnet = ipaddress.IPv4Network(bridge.subnet)
    prefix = {"prefix": {"addr": str(subnet.network_address), "len": subnet.prefixlen}}
    into = _match({"meta": {"key": "oifname"}}, bridge.name)
    not_into = _match({"meta": {"key": "oifname"}}, bridge.name, "!=")
    out_of = _match({"meta": {"key": "iifname"}}, bridge.name)
    not_out_of = _match({"meta": {"key": "iifname"}}, bridge.name, "!=")
    known = _match({"ct": {"key": "state"}}, ["established", "related"], "in")
    diverted = _match({"ct": {"key": "status"}}, "dnat", "in")
    from_here, to_here = _match(_ip("saddr"), prefix), _match(_ip("daddr"), prefix)
    masquerade = {"masquerade": None}
    return [
        ("raw", [out_of, _match(_ip("saddr"), _LOOPBACK), {"drop": None}]),
        ("raw", [out_of, _match(_ip("daddr"), _LOOPBACK), {"drop": None}]),
        ("forward", [into, known, {"accept": None}]),
        ("forward", [into, diverted, {"accept": None}]),
        ("forward", [into, not_out_of, {"drop": None}]),
        ("postrouting", [into, _match(_ip("saddr"), _LOOPBACK), masquerade]),
        # The answer must come back this way, not over the bridge, or its source is not what was asked.
        ("postrouting", [from_here, to_here, diverted, masquerade]),
        ("postrouting", [from_here, not_into, masquerade]),
    ]


def _match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _fib(comparison: dict[str, Any]) -> dict[str, Any]:
    left, right = comparison["=="]
    return _match(left, right)


def _ip(field: str) -> dict[str, Any]:
    return {"payload": {"protocol": "ip", "field": field}}


def _lookup(name: str) -> dict[str, Any]:
    port = {"payload": {"protocol": "th", "field": "dport"}}
    key = {"concat": [_ip("daddr"), {"meta": {"key": "l4proto"}}, port]}
    return {"map": {"key": key, "data": f"@{name}"}}


def _comment(expression: list[Any]) -> str:
    return f"scow {zlib.crc32(json.dumps(expression).encode()):08x}"


def differences(
    listed: Sequence[Command] | None, bridges: Sequence[Bridge], published: Iterable[Published]
) -> str:
    """Return what a listed table lacks or has too much, in words; empty when it is as it must be."""
    if listed is None:
        return "the table was missing"
    chains = {entry["chain"]["name"] for entry in listed if "chain" in entry}
    if missing := sorted(set(_CHAINS) - chains):
        return f"chains were missing: {', '.join(missing)}"
    rules = [entry["rule"] for entry in listed if "rule" in entry]
    present = sorted((rule["chain"], rule.get("comment", "")) for rule in rules)
    if present != sorted((chain, comment) for chain, _, comment in _rules(bridges)):
        return "rules were changed"
    if set(parse_elements(listed)) != set(elements(published)):
        return "published ports were changed"
    return ""


def parse_elements(listed: Sequence[Command]) -> list[Element]:
    """Return the elements of the maps of a listed table."""
    found = []
    for entry in listed:
        described = entry.get("map")
        if described is None or described["name"] not in _MAPS:
            continue
        for item in described.get("elem", ()):
            address, protocol, ports = item[0]["concat"]
            first, last = ports["range"] if isinstance(ports, dict) else (ports, ports)
            host_ip = _ANY if isinstance(address, dict) else address
            name = _PROTOCOL_NAMES.get(protocol, str(protocol))
            found.append(Element(described["name"], host_ip, name, first, last, item[1]))
    return found


def forward_is_dropped(chains: Iterable[Command]) -> bool:
    """Tell whether another table's policy drops what is forwarded, as docker's does."""
    return any(
        chain.get("family") == FAMILY
        and chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        for chain in chains
    )
