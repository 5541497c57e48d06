"""The engine's table of the family bridge: what containers send must have their own addresses.

::

    table bridge NAME {
      set free           { link }                     of networks that allow everything
      set macs           { link . address }           what may be said to come from a link
      set ipv4, ipv6     { link . address }
      map advertised     { link : goto advertised-LINK }
      chain sources      of links of the engine's containers: from their own addresses, else nothing
      chain advertised-LINK      neighbour advertisements (RFC 4861, 4.4) of the link's own addresses, else nothing
    }

What an advertisement is about has no name in older libraries, and no type that a set could have: so it is compared in a
chain of each link.

A container has CAP_NET_RAW by default and may send whatever bytes it likes. Without these rules it could answer for the
gateway's address, or another container's, and get what is sent to them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scow.network.firewall.nftables import Command
from scow.network.firewall.rules import comment
from scow.network.ipam.addresses import Address

_FAMILY = "bridge"
_SETS = {
    "free": "ifname",
    "macs": ["ifname", "ether_addr"],
    "ipv4": ["ifname", "ipv4_addr"],
    "ipv6": ["ifname", "ipv6_addr"],
}
_ADVERTISED = "advertised"
_CHAIN = {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}
_SOURCES = "sources"
_DROP: list[Any] = [{"counter": None}, {"drop": None}]
_ADVERTISEMENT_TARGET = {"base": "th", "offset": 64, "len": 128}  # RFC 4861, 4.4


@dataclass(frozen=True)
class Sender:
    """A container's link in the host, and what comes from it.

    Attributes:
        link: Its name.
        mac: Of the container's end.
        addresses: The container's in the network; beside them it has the one that its MAC address makes.
        free: The network allows everything.
    """

    link: str
    mac: str
    addresses: tuple[Address, ...]
    free: bool = False

    def elements(self) -> set[tuple[str, ...]]:
        """Return what the sets have of it: the set's name, the link, and an address."""
        if self.free:
            return {("free", self.link)}
        found = {(f"ipv{address.version}", self.link, str(address)) for address in self._own()}
        return {("macs", self.link, self.mac), (_ADVERTISED, self.link), *found}

    def _own(self) -> set[Address]:
        return {*self.addresses, _of_mac(self.mac)}

    def advertised(self) -> list[Any]:
        """Return the expressions of its chain's rule."""
        numbers = sorted(f"0x{int(a):032x}" for a in self._own() if a.version == 6)
        return [_match({"payload": _ADVERTISEMENT_TARGET}, {"set": numbers}, "!="), *_DROP]


def _of_mac(mac: str) -> Address:
    """Return the address of the link alone that a MAC address makes (RFC 4291, appendix A)."""
    parts = bytes.fromhex(mac.replace(":", ""))
    low = bytes([parts[0] ^ 2]) + parts[1:3] + b"\xff\xfe" + parts[3:]
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + low)


def build(table: str, prefix: str, senders: Iterable[Sender]) -> list[Command]:
    """Return the commands that put the table in place of whatever it is now.

    Args:
        table: Its name.
        prefix: Of the names of the engine's links.
        senders: All of them.
    """
    commands: list[Command] = remove(table)
    commands.append({"add": {"table": {"family": _FAMILY, "name": table}}})
    for name, kind in _SETS.items():
        commands.append(_add("set", table, name=name, type=kind))
    commands.append(_add("map", table, name=_ADVERTISED, type="ifname", map="verdict"))
    commands.append(_add("chain", table, name=_SOURCES, **_CHAIN))
    commands += [_rule(table, _SOURCES, expression) for expression in _rules(prefix)]
    return commands + change(table, "add", senders)


def remove(table: str) -> list[Command]:
    """Return the commands that remove the table, if it is there."""
    head = {"table": {"family": _FAMILY, "name": table}}
    return [{"add": head}, {"delete": head}]


def _add(kind: str, table: str, **described: Any) -> Command:
    return {"add": {kind: {"family": _FAMILY, "table": table, **described}}}


def _rule(table: str, chain: str, expression: list[Any]) -> Command:
    return _add("rule", table, chain=chain, expr=expression, comment=comment(expression))


def change(table: str, verb: str, senders: Iterable[Sender]) -> list[Command]:
    """Return the commands that "add" or "delete" senders."""
    by_set: dict[str, list[Any]] = {}
    chains: list[Command] = []
    for sender in senders:
        for name, *key in sorted(sender.elements()):
            element: Any = key[0] if len(key) == 1 else {"concat": key}
            if name == _ADVERTISED:
                chains += _chain(table, verb, sender)
                if verb == "add":
                    element = [element, {"goto": {"target": _chain_name(sender.link)}}]
            by_set.setdefault(name, []).append(element)
    elements: list[Command] = [
        {verb: {"element": {"family": _FAMILY, "table": table, "name": name, "elem": each}}}
        for name, each in by_set.items()
    ]
    # A chain is there for as long as something leads to it.
    return [*chains, *elements] if verb == "add" else [*elements, *chains]


def _chain(table: str, verb: str, sender: Sender) -> list[Command]:
    name = _chain_name(sender.link)
    head = {"chain": {"family": _FAMILY, "table": table, "name": name}}
    if verb == "delete":
        return [{"delete": head}]
    # It may be there: to add a rule again would make two of it.
    return [{"add": head}, {"flush": head}, _rule(table, name, sender.advertised())]


def _chain_name(link: str) -> str:
    return f"{_ADVERTISED}-{link}"


def _rules(prefix: str) -> list[list[Any]]:
    link = {"meta": {"key": "iifname"}}

    def foreign(protocol: str, field: str, name: str) -> Any:
        return _match({"concat": [link, _header(protocol, field)]}, f"@{name}", "!=")

    advertisement = _match(_header("icmpv6", "type"), "nd-neighbor-advert")
    return [
        [_match(link, f"{prefix}*", "!="), {"accept": None}],
        [_match(link, "@free"), {"accept": None}],
        [foreign("ether", "saddr", "macs"), *_DROP],
        [foreign("arp", "saddr ether", "macs"), *_DROP],
        # Who asks whether an address is free has none yet (RFC 5227).
        [_match(_header("arp", "saddr ip"), "0.0.0.0", "!="), foreign("arp", "saddr ip", "ipv4"), *_DROP],
        [foreign("ip", "saddr", "ipv4"), *_DROP],
        [_match(_header("ip6", "saddr"), "::", "!="), foreign("ip6", "saddr", "ipv6"), *_DROP],
        [_match(_header("icmpv6", "type"), "nd-router-advert"), *_DROP],
        [advertisement, {"vmap": {"key": link, "data": f"@{_ADVERTISED}"}}],
    ]  # fmt: skip


def _match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _header(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def differences(listed: Sequence[Command] | None, prefix: str, senders: Sequence[Sender]) -> str:
    """Return what a listed table lacks or has too much, in words; empty when it is as it must be."""
    if listed is None:
        return "the table of senders was missing"
    rules: dict[str, list[str]] = {}
    for entry in listed:
        if "rule" in entry:
            rules.setdefault(entry["rule"]["chain"], []).append(entry["rule"].get("comment", ""))
    right = {_SOURCES: [comment(expression) for expression in _rules(prefix)]}
    right |= {_chain_name(s.link): [comment(s.advertised())] for s in senders if not s.free}
    if rules != right:
        return "rules of senders were changed"
    wanted = {element for sender in senders for element in sender.elements()}
    if _elements(listed) != wanted:
        return "addresses of senders were changed"
    return ""


def _elements(listed: Sequence[Command]) -> set[tuple[str, ...]]:
    found = set()
    for entry in listed:
        described = entry.get("set") or entry.get("map") or {}
        for element in described.get("elem", ()):
            # Of a map they are pairs of key and verdict.
            one = element[0] if "map" in entry else element
            key = one["concat"] if isinstance(one, dict) else [one]
            found.add((str(described["name"]), *map(str, key)))
    return found
