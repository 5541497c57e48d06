"""The engine's own nftables tables, one a family: what they hold, as commands and as facts to compare with.

::

    table FAMILY NAME {
      map direct            { host address . protocol . ports : container }    container's ports are the host's
      map moved_address     { host address . protocol . port : container }     they are not:
      map moved_port        { host address . protocol . port : container's port }
      set guarded           { host address . protocol . ports }            not for everybody:
      set allowed           { host address . protocol . ports . source }   for these
      set opened            { container . protocol . ports }               of bridges that route: for everybody,
      set opened_to         { container . protocol . ports . source }      or for these
      set bridges           { link }
      map among, from, into { link . link : verdict }, { link : verdict }  what is forwarded, by where from and to
      set within            { subnet . subnet }                            from a bridge to itself
      set masqueraded       { subnet }                                     to elsewhere: the host's address,
      map sources           { subnet : address }                           or this one
      chain raw             containers neither reach nor claim to be the host's loopback, in spite of route_localnet
      chain guard           guarded ports of the host, from a source that is not allowed: nothing
      chain forward         into a container: its own network, answers, published ports; else nothing
      chain prerouting, output -> publish                                      to an address of the host: DNAT
      chain postrouting     masquerade: to elsewhere; from loopback; between containers over a published port
    }

The rules are the same whatever networks there are, and a packet's way is as long with one as with a thousand: networks
and ports are elements, which are added and deleted alone. A family that no network has a subnet of has no table.
Every rule's comment has a checksum of the rule, so that a comparison needs no understanding of expressions.
A verdict of "accept" here cannot override the drop of another table: see `others`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from scow.network.firewall import elements
from scow.network.firewall.elements import Bridge, Published
from scow.network.firewall.nftables import Command
from scow.network.ipam.addresses import Family

# Hooks with the priorities that nft(8) calls raw, filter, dstnat and srcnat.
_CHAINS: dict[str, dict[str, Any]] = {
    "raw": {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"},
    # After connections are tracked, before addresses are translated.
    "guard": {"type": "filter", "hook": "prerouting", "prio": -110, "policy": "accept"},
    # What "into" and "among" lead to; before the rules that lead there.
    "protected": {},
    "unprotected": {},
    "routed": {},
    "forward": {"type": "filter", "hook": "forward", "prio": 0, "policy": "accept"},
    "publish": {},
    "prerouting": {"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"},
    "output": {"type": "nat", "hook": "output", "prio": -100, "policy": "accept"},
    "postrouting": {"type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"},
}


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
    commands += _sets(family, table)
    for name, chain in _CHAINS.items():
        commands.append(_add(family, "chain", table, name=name, **chain))
    for name, expression, text in _rules(family):
        commands.append(_add(family, "rule", table, chain=name, expr=expression, comment=text))
    wanted: list[elements.Element] = [
        *elements.of_bridges(bridges),
        *elements.of_ports(published),
    ]
    return commands + elements.change(family, table, "add", wanted)


def remove(family: Family, table: str) -> list[Command]:
    """Return the commands that remove a table, if it is there."""
    head = {"table": {"family": family.nft, "name": table}}
    return [{"add": head}, {"delete": head}]


def _add(family: Family, kind: str, table: str, **described: Any) -> Command:
    return {"add": {kind: {"family": family.nft, "table": table, **described}}}


def _sets(family: Family, table: str) -> list[Command]:
    """Return the commands that make the maps and sets."""
    address = f"ipv{family.version}_addr"
    key = [address, "inet_proto", "inet_service"]
    commands = []
    for name in elements.PORT_MAPS:
        value = "inet_service" if name == "moved_port" else address
        described: dict[str, Any] = {"type": key, "map": value, "flags": ["interval"]}
        commands.append(_add(family, "map", table, name=name, **described))
    for name in elements.PORT_SETS:
        kind = [*key, address] if name in elements.SOURCED else key
        commands.append(_add(family, "set", table, name=name, type=kind, flags=["interval"]))
    for name, parts in elements.BRIDGE_SETS.items():
        types = [address if part == "address" else part for part in parts]
        described = {"type": types[0] if len(types) == 1 else types}
        if "address" in parts:
            described["flags"] = ["interval"]
        if target := elements.BRIDGE_MAPS.get(name):
            described["map"] = address if target == "address" else target
        kind_of = "map" if target else "set"
        commands.append(_add(family, kind_of, table, name=name, **described))
    return commands


def _rules(family: Family) -> list[tuple[str, list[Any], str]]:
    """Return chain, expression and comment of each rule, in order."""
    rules = [
        *_of_loopback(family),
        *_of_forwarding(family),
        *_of_ports(family),
        *_of_sources(family),
    ]
    return [(chain, expression, comment(expression)) for chain, expression in rules]


_Rule = tuple[str, list[Any]]


def _of_loopback(family: Family) -> list[_Rule]:
    loopback = elements.prefix(family.loopback)
    return [
        ("raw", [_in(_meta("iifname"), "bridges"), _match(side, loopback), {"drop": None}])
        for side in (_header(family, "saddr"), _header(family, "daddr"))
    ]


def _of_forwarding(family: Family) -> list[_Rule]:
    source = _header(family, "saddr")
    known = _match({"ct": {"key": "state"}}, ["established", "related"], "in")
    ways = {"concat": [_meta("iifname"), _meta("oifname")]}
    accept = {"accept": None}
    protected = [[known, accept], [_diverted(), accept]]
    ping = _match(_meta("l4proto"), "icmp" if family.version == 4 else "ipv6-icmp")
    opened = [_in(_key(family), "opened"), accept]
    opened_to = [_in(_key(family, source), "opened_to"), accept]
    routed = [*protected, [ping, accept], [_transport(), *opened], [_transport(), *opened_to]]
    drop: list[Any] = [{"drop": None}]
    return [
        *(("protected", expression) for expression in (*protected, drop)),
        # Networks of the engine stay apart.
        ("unprotected", [_in(_meta("iifname"), "bridges"), {"goto": {"target": "protected"}}]),
        *(("routed", expression) for expression in (*routed, drop)),
        ("forward", [_verdict(ways, "among")]),
        ("forward", [_verdict(_meta("iifname"), "from")]),
        ("forward", [_verdict(_meta("oifname"), "into")]),
    ]


def _of_ports(family: Family) -> list[_Rule]:
    local = _match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    jump = {"jump": {"target": "publish"}}
    direct, address, port = (_lookup(_key(family), name) for name in elements.PORT_MAPS)
    guarded, allowed = _key(family), _key(family, _header(family, "saddr"))
    new = _match({"ct": {"key": "state"}}, "new", "in")
    to_others = _match(_header(family, "daddr"), elements.prefix(family.loopback), "!=")
    # What the host sends to itself comes this way where nftables does not divert loopback.
    from_others = _match(_meta("iifname"), "lo", "!=")
    unwanted = [_in(guarded, "guarded"), _in(allowed, "allowed", "!="), {"drop": None}]
    return [
        ("guard", [from_others, new, _transport(), local, *unwanted]),
        ("publish", [_transport(), {"dnat": {"addr": direct}}]),
        ("publish", [_transport(), {"dnat": {"addr": address, "port": port}}]),
        # A neighbour could address 127.0.0.1 by the host's MAC address; the host's own packets pass "output".
        ("prerouting", [to_others, local, jump]),
        ("output", [local, jump] if family.diverts_loopback else [to_others, local, jump]),
    ]


def _of_sources(family: Family) -> list[_Rule]:
    source, loopback = _header(family, "saddr"), elements.prefix(family.loopback)
    within = _in({"concat": [source, _header(family, "daddr")]}, "within")
    masquerade = {"masquerade": None}
    into = _in(_meta("oifname"), "bridges")
    chain = "postrouting"
    return [
        (chain, [into, _match(source, loopback), masquerade]),
        # The answer must come back this way, not over the bridge, or its source is not what was asked.
        (chain, [within, _diverted(), masquerade]),
        (chain, [within, {"accept": None}]),
        (chain, [_in(source, "masqueraded"), masquerade]),
        (chain, [{"snat": {"addr": _lookup(source, "sources")}}]),
    ]


def _match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def _header(family: Family, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": family.nft, "field": field}}


def _transport() -> dict[str, Any]:
    return _match(_meta("l4proto"), {"set": sorted(elements.PROTOCOLS.values())})


def _diverted() -> dict[str, Any]:
    return _match({"ct": {"key": "status"}}, "dnat", "in")


def _lookup(key: Any, name: str) -> dict[str, Any]:
    return {"map": {"key": key, "data": f"@{name}"}}


def _verdict(key: Any, name: str) -> dict[str, Any]:
    return {"vmap": {"key": key, "data": f"@{name}"}}


def _key(family: Family, *more: Any) -> dict[str, Any]:
    port = {"payload": {"protocol": "th", "field": "dport"}}
    return {"concat": [_header(family, "daddr"), _meta("l4proto"), port, *more]}


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
    if present != sorted((chain, text) for chain, _, text in _rules(family)):
        return "rules were changed"
    found = set(elements.parse(listed, family))
    networks = {element for element in found if isinstance(element, elements.BridgeElement)}
    if networks != set(elements.of_bridges(bridges)):
        return "networks were changed"
    if found - networks != set(elements.of_ports(published)):
        return "published ports were changed"
    return ""
