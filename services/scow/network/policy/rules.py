"""The nftables tables of one policy, in which alone its rules and counters are.

::

    table inet NAME      what the host forwards or gets from the container: connections are judged by their first packet
    table bridge NAME    what it sends to others on its own bridges, where the kernel tracks no connections: of TCP the
                         first packet of a connection, of all else each packet

Both have the same rules in the same order; those about a name have sets, to which the name server adds what it answers.
The first rule's comment has a checksum of all expressions, so that it is seen when the kernel has another policy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scow.network.firewall.nftables import Command
from scow.network.firewall.rules import comment
from scow.network.ipam.addresses import IPV4, IPV6, Address, Family, Pool
from scow.network.policy.model import ALLOW, Policy, Rule

FAMILIES = ("inet", "bridge")
_CHAIN = "egress"
_HOOKS = {"inet": -150, "bridge": -200}
_TRANSPORT = ["tcp", "udp", "sctp"]
_DEFAULT = "default"
# Addresses that a rule's name may mean at once.
_MOST_LEARNED = 4096
_SELDOM = {"limit": {"rate": 1, "burst": 5, "per": "second"}}
# Without these nobody is found, also who connects to the container (RFC 4861).
_NEIGHBOURS = ["nd-neighbor-solicit", "nd-neighbor-advert"]


@dataclass(frozen=True)
class Place:
    """Where a container is attached.

    Attributes:
        link: The host's end of its link.
        addresses: The container's.
        pools: Of the network.
    """

    link: str
    addresses: tuple[Address, ...]
    pools: tuple[Pool, ...]


def build(table: str, policy: Policy, places: Sequence[Place], group: int) -> list[Command]:
    """Return the commands that put a policy's tables in place of what they are now.

    Args:
        table: Their name.
        policy: The policy.
        places: Where its container is attached.
        group: Which of nfnetlink_log is told of some of what is denied.
    """
    commands = remove(table)
    for family in FAMILIES:
        commands.append({"add": {"table": {"family": family, "name": table}}})
        commands += [_set(family, table, number, f) for number, f in _sets(policy)]
        described = {
            "type": "filter",
            "hook": "prerouting",
            "prio": _HOOKS[family],
            "policy": "accept",
        }
        commands.append(_add(family, "chain", table, name=_CHAIN, **described))
        for expression, text in _rules(family, table, policy, places, group):
            rule = {"chain": _CHAIN, "expr": expression, "comment": text}
            commands.append(_add(family, "rule", table, **rule))
    return commands


def is_made(
    listed: Sequence[Sequence[Command] | None],
    table: str,
    policy: Policy,
    places: Sequence[Place],
    group: int,
) -> bool:
    """Tell whether tables are what `build` makes of a policy.

    Args:
        listed: What they hold, by `FAMILIES`; None of one that is not there.
        table: Their name.
        policy: The policy.
        places: Where its container is attached.
        group: Which of nfnetlink_log is told.
    """
    for family, entries in zip(FAMILIES, listed, strict=True):
        present = [entry["rule"].get("comment", "") for entry in entries or () if "rule" in entry]
        wanted = [text for _, text in _rules(family, table, policy, places, group)]
        if entries is None or present != wanted:
            return False
    return True


def _rules(
    family: str, table: str, policy: Policy, places: Sequence[Place], group: int
) -> list[tuple[list[Any], str]]:
    """Return expression and comment of each rule, in order."""
    scope = _routed(places) if family == "inet" else _bridged(places)
    rules = [*scope, *_judgements(table, policy, group)]
    (first, _), *rest = rules
    return [(first, comment([expression for expression, _ in rules])), *rest]


def remove(table: str) -> list[Command]:
    """Return the commands that remove a policy's tables, if they are there."""
    heads = [{"table": {"family": family, "name": table}} for family in FAMILIES]
    return [command for head in heads for command in ({"add": head}, {"delete": head})]


def learn(table: str, number: int, addresses: Iterable[Address], seconds: int) -> list[Command]:
    """Return the commands that add what a name means to the sets of a rule, for some time."""
    commands: list[Command] = []
    for address in addresses:
        element = {"elem": {"val": str(address), "timeout": seconds}}
        for family in FAMILIES:
            place = {"family": family, "table": table, "name": _set_name(number, address.version)}
            # Else one that is there keeps its time.
            commands.append({"add": {"element": {**place, "elem": [element]}}})
            commands.append({"delete": {"element": {**place, "elem": [str(address)]}}})
            commands.append({"add": {"element": {**place, "elem": [element]}}})
    return commands


def counters(listed: Iterable[Sequence[Command] | None]) -> dict[str, tuple[int, int]]:
    """Return packets and bytes by the number of a rule, and of what no rule was about, of listed tables."""
    found: dict[str, tuple[int, int]] = {}
    for table in listed:
        for entry in table or ():
            rule = entry.get("rule", {})
            for part in rule.get("expr", ()):
                if isinstance(counted := part.get("counter"), dict) and "comment" in rule:
                    packets, size = found.get(rule["comment"], (0, 0))
                    total = packets + counted["packets"], size + counted["bytes"]
                    found[rule["comment"]] = total
    return found


def _add(family: str, kind: str, table: str, **described: Any) -> Command:
    return {"add": {kind: {"family": family, "table": table, **described}}}


def _sets(policy: Policy) -> list[tuple[int, Family]]:
    named = [number for number, rule in enumerate(policy.rules) if rule.name]
    return [(number, family) for number in named for family in (IPV4, IPV6)]


def _set_name(number: int, version: int) -> str:
    return f"rule{number}_{version}"


def _set(family: str, table: str, number: int, of: Family) -> Command:
    name, kind = _set_name(number, of.version), f"ipv{of.version}_addr"
    return _add(family, "set", table, name=name, type=kind, flags=["timeout"], size=_MOST_LEARNED)


def _routed(places: Sequence[Place]) -> list[tuple[list[Any], str]]:
    """Return the rules that let everything pass that is not the container's, or goes on with what there was."""
    known = {
        "match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}
    }
    rules: list[tuple[list[Any], str]] = [([known, {"accept": None}], "")]
    for family in (IPV4, IPV6):
        own = [str(a) for place in places for a in place.addresses if a.version == family.version]
        right: Any = {"set": own} if own else str(family.everywhere.broadcast_address)
        rules.append(([_match(_header(family, "saddr"), right, "!="), {"accept": None}], ""))
    rules.append(
        ([_match(_header_of("icmpv6", "type"), {"set": _NEIGHBOURS}), {"accept": None}], "")
    )
    return rules


def _bridged(places: Sequence[Place]) -> list[tuple[list[Any], str]]:
    """Return the rules that let everything pass that does not go to others on the container's bridges."""
    link = {"meta": {"key": "iifname"}}
    rules: list[tuple[list[Any], str]] = [
        ([_match(link, {"set": [place.link for place in places]}, "!="), {"accept": None}], ""),
        ([_match({"meta": {"key": "protocol"}}, {"set": ["ip", "ip6"]}, "!="), {"accept": None}], ""),
    ]  # fmt: skip
    for family in (IPV4, IPV6):
        pools = [p for place in places for p in place.pools if p.subnet.version == family.version]
        target = _header(family, "daddr")
        # Of others by the host's address: the other table judges.
        blocks = {"set": [_prefix(str(pool.subnet)) for pool in pools]}
        routers = {"set": [str(pool.gateway) for pool in pools]}
        if pools:
            rules.append(([_match(target, blocks, "!="), {"accept": None}], ""))
            rules.append(([_match(target, routers), {"accept": None}], ""))
        else:
            rules.append(
                ([_match({"meta": {"key": "protocol"}}, family.nft), {"accept": None}], "")
            )
    rules.append(
        ([_match(_header_of("icmpv6", "type"), {"set": _NEIGHBOURS}), {"accept": None}], "")
    )
    flags = {"payload": {"protocol": "tcp", "field": "flags"}}
    first = {"&": [flags, {"|": ["syn", "ack"]}]}
    rules.append(([_match(first, "syn", "!="), {"accept": None}], ""))
    return rules


def _judgements(table: str, policy: Policy, group: int) -> list[tuple[list[Any], str]]:
    judged = [
        (str(number), [*target, *_ports(rule)], rule.action)
        for number, rule in enumerate(policy.rules)
        for target in _targets(number, rule)
    ]
    rules = []
    for number, matches, action in [*judged, (_DEFAULT, [], policy.default)]:
        if action != ALLOW:
            tell = {"log": {"prefix": f"{table} {number}", "group": group}}
            rules.append(([*matches, _SELDOM, tell], ""))
        rules.append(([*matches, *_verdict(action)], number))
    return rules


def _targets(number: int, rule: Rule) -> list[list[Any]]:
    """Return what a rule compares the destination with; one list of expressions for each family."""
    if rule.name:
        return [
            [_match(_header(family, "daddr"), f"@{_set_name(number, family.version)}")]
            for family in (IPV4, IPV6)
        ]
    if not rule.block:
        return [[]]
    family = IPV6 if ":" in rule.block else IPV4
    if rule.block == str(family.everywhere):
        return [[_match({"meta": {"key": "protocol"}}, family.nft)]]
    return [[_match(_header(family, "daddr"), _prefix(rule.block))]]


def _ports(rule: Rule) -> list[Any]:
    protocol = {"meta": {"key": "l4proto"}}
    if not rule.first:
        return [_match(protocol, rule.protocol)] if rule.protocol else []
    ports: Any = rule.first if rule.first == rule.last else {"range": [rule.first, rule.last]}
    wanted: Any = rule.protocol or {"set": _TRANSPORT}
    port = {"payload": {"protocol": "th", "field": "dport"}}
    return [_match(protocol, wanted), _match(port, ports)]


def _verdict(action: str) -> list[Any]:
    return [{"counter": None}, {"accept": None} if action == ALLOW else {"drop": None}]


def _prefix(block: str) -> Any:
    subnet = ipaddress.ip_network(block)
    if subnet.prefixlen == subnet.max_prefixlen:
        return str(subnet.network_address)
    return {"prefix": {"addr": str(subnet.network_address), "len": subnet.prefixlen}}


def _match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _header_of(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def _header(family: Family, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": family.nft, "field": field}}
