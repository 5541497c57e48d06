"""The engine's table of the family bridge: what containers send must have their own addresses.

::

    table bridge NAME {
      set free           { link }                     of networks that allow everything
      set macs           { link . address }           what may be said to come from a link
      set ipv4, ipv6     { link . address }
      chain sources      of links of the engine's containers: from their own addresses, else nothing
    }

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
from scow.network.ipam.addresses import LINK_LOCAL, Address

_FAMILY = "bridge"
_SETS = {
    "free": "ifname",
    "macs": ["ifname", "ether_addr"],
    "ipv4": ["ifname", "ipv4_addr"],
    "ipv6": ["ifname", "ipv6_addr"],
}
_CHAIN = {"type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}
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
        own = {*self.addresses, _of_mac(self.mac)}
        found = {(f"ipv{address.version}", self.link, str(address)) for address in own}
        return {("macs", self.link, self.mac), *found}


def _of_mac(mac: str) -> Address:
    """Return the address of the link alone that a MAC address makes (RFC 4291, appendix A)."""
    parts = bytes.fromhex(mac.replace(":", ""))
    low = bytes([parts[0] ^ 2]) + parts[1:3] + b"\xff\xfe" + parts[3:]
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + low)


def build(
    table: str, prefix: str, senders: Iterable[Sender], routers: Iterable[Address]
) -> list[Command]:
    """Return the commands that put the table in place of whatever it is now.

    Args:
        table: Its name.
        prefix: Of the names of the engine's links.
        senders: All of them.
        routers: The host's addresses on bridges.
    """
    commands: list[Command] = remove(table)
    commands.append({"add": {"table": {"family": _FAMILY, "name": table}}})
    for name, kind in _SETS.items():
        commands.append(_add("set", table, name=name, type=kind))
    commands.append(_add("chain", table, name="sources", **_CHAIN))
    for expression in _rules(prefix, routers):
        place = {"chain": "sources", "expr": expression, "comment": comment(expression)}
        commands.append(_add("rule", table, **place))
    return commands + change(table, "add", senders)


def remove(table: str) -> list[Command]:
    """Return the commands that remove the table, if it is there."""
    head = {"table": {"family": _FAMILY, "name": table}}
    return [{"add": head}, {"delete": head}]


def _add(kind: str, table: str, **described: Any) -> Command:
    return {"add": {kind: {"family": _FAMILY, "table": table, **described}}}


def change(table: str, verb: str, senders: Iterable[Sender]) -> list[Command]:
    """Return the commands that "add" or "delete" senders."""
    by_set: dict[str, list[Any]] = {}
    for sender in senders:
        for name, *key in sorted(sender.elements()):
            by_set.setdefault(name, []).append(key[0] if len(key) == 1 else {"concat": key})
    return [
        {verb: {"element": {"family": _FAMILY, "table": table, "name": name, "elem": elements}}}
        for name, elements in by_set.items()
    ]


def _rules(prefix: str, routers: Iterable[Address]) -> list[list[Any]]:
    link = {"meta": {"key": "iifname"}}
    drop: list[Any] = [{"counter": None}, {"drop": None}]

    def foreign(protocol: str, field: str, name: str) -> Any:
        return _match({"concat": [link, _header(protocol, field)]}, f"@{name}", "!=")

    advertisement = _match(_header("icmpv6", "type"), "nd-neighbor-advert")
    ours = {str(LINK_LOCAL.ip), *(str(a) for a in routers if a.version == 6)}
    return [
        [_match(link, f"{prefix}*", "!="), {"accept": None}],
        [_match(link, "@free"), {"accept": None}],
        [foreign("ether", "saddr", "macs"), *drop],
        [foreign("arp", "saddr ether", "macs"), *drop],
        # Who asks whether an address is free has none yet (RFC 5227).
        [_match(_header("arp", "saddr ip"), "0.0.0.0", "!="), foreign("arp", "saddr ip", "ipv4"), *drop],
        [foreign("ip", "saddr", "ipv4"), *drop],
        [_match(_header("ip6", "saddr"), "::", "!="), foreign("ip6", "saddr", "ipv6"), *drop],
        [_match(_header("icmpv6", "type"), "nd-router-advert"), *drop],
        *(
            [advertisement, _match({"payload": _ADVERTISEMENT_TARGET}, _number(address)), *drop]
            for address in sorted(ours)
        ),
    ]  # fmt: skip


def _number(address: str) -> str:
    return f"0x{int(ipaddress.IPv6Address(address)):032x}"


def _match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _header(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def differences(
    listed: Sequence[Command] | None,
    prefix: str,
    senders: Iterable[Sender],
    routers: Iterable[Address],
) -> str:
    """Return what a listed table lacks or has too much, in words; empty when it is as it must be."""
    if listed is None:
        return "the table of senders was missing"
    rules = [entry["rule"].get("comment", "") for entry in listed if "rule" in entry]
    if rules != [comment(expression) for expression in _rules(prefix, routers)]:
        return "rules of senders were changed"
    wanted = {element for sender in senders for element in sender.elements()}
    if _elements(listed) != wanted:
        return "addresses of senders were changed"
    return ""


def _elements(listed: Sequence[Command]) -> set[tuple[str, ...]]:
    found = set()
    for entry in listed:
        described = entry.get("set", {})
        for element in described.get("elem", ()):
            key = element["concat"] if isinstance(element, dict) else [element]
            found.add((str(described["name"]), *map(str, key)))
    return found
