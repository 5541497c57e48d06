"""What names mean on each network.

A container is found by its name, its aliases, its id, the first twelve digits of it, and its host name, each alone and
with the network's name behind a dot; and its names by its addresses. Answers are kept as they are sent: each is one
look into a dictionary by the name's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scow.network.dns import message
from scow.network.ipam.addresses import Address

# Seconds that an answer may be kept. Short, since a container may be gone the next moment; as Kubernetes has it.
TTL = 5


@dataclass(frozen=True)
class Member:
    """A container on a network, as names know it.

    Attributes:
        endpoint: Its id.
        network: Its id.
        domain: The network's name.
        names: What it is called; the first one is told for its addresses.
        addresses: What they mean.
    """

    endpoint: str
    network: str
    domain: str
    names: tuple[str, ...]
    addresses: tuple[Address, ...]

    def wire_names(self) -> list[bytes]:
        """Return its names, alone and below the network's; what DNS has no form for is left out."""
        found = []
        for name in self.names:
            for each in (name, f"{name}.{self.domain}"):
                try:
                    found.append(message.name_to_wire(each))
                except ValueError:
                    continue
        return list(dict.fromkeys(found))

    def canonical(self) -> bytes:
        """Return the name that is told for its addresses, or nothing."""
        try:
            return message.name_to_wire(f"{self.names[0]}.{self.domain}")
        except (ValueError, IndexError):
            return b""


@dataclass
class Node:
    """What one name means: of each type, the records of each endpoint."""

    _by_endpoint: dict[str, dict[int, list[bytes]]] = field(default_factory=dict)
    _records: dict[int, list[bytes]] = field(default_factory=dict)
    _turn: int = 0

    def put(self, endpoint: str, kind: int, data: bytes) -> None:
        """Add an endpoint's record."""
        made = message.record(kind, TTL, data)
        self._by_endpoint.setdefault(endpoint, {}).setdefault(kind, []).append(made)
        self._records.setdefault(kind, []).append(made)

    def remove(self, endpoint: str) -> bool:
        """Forget an endpoint; tell whether others are left."""
        self._by_endpoint.pop(endpoint, None)
        self._records = {}
        for records in self._by_endpoint.values():
            for kind, some in records.items():
                self._records.setdefault(kind, []).extend(some)
        return bool(self._by_endpoint)

    def records(self, kind: int) -> Sequence[bytes]:
        """Return the records of a type; of several, another one is first each time."""
        if kind == message.ANY:
            return [one for some in self._records.values() for one in some]
        found = self._records.get(kind, [])
        if len(found) < 2:
            return found
        self._turn = (self._turn + 1) % len(found)
        return found[self._turn :] + found[: self._turn]


class Records:
    """All names of an engine, by network.

    Attributes:
        generation: Another one after each change.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._members: dict[str, Member] = {}
        self._networks: dict[str, dict[bytes, Node]] = {}

    def find(self, networks: Iterable[str], name: bytes) -> Node | None:
        """Return what a name in lower case means on the first of some networks that has it."""
        for network in networks:
            nodes = self._networks.get(network)
            if nodes is not None and (node := nodes.get(name)) is not None:
                return node
        return None

    def put(self, member: Member) -> None:
        """Add a container on a network, in place of what was known of it."""
        if self._members.get(member.endpoint) == member:
            return
        self.remove(member.endpoint)
        self.generation += 1
        self._members[member.endpoint] = member
        nodes = self._networks.setdefault(member.network, {})
        canonical = member.canonical()
        for address in member.addresses:
            kind = message.A if address.version == 4 else message.AAAA
            for name in member.wire_names():
                nodes.setdefault(name, Node()).put(member.endpoint, kind, address.packed)
            if canonical:
                node = nodes.setdefault(_reverse(address), Node())
                node.put(member.endpoint, message.PTR, canonical)

    def remove(self, endpoint: str) -> None:
        """Forget a container on a network; an unknown one is not an error."""
        member = self._members.pop(endpoint, None)
        if member is None:
            return
        self.generation += 1
        nodes = self._networks[member.network]
        for name in [*member.wire_names(), *map(_reverse, member.addresses)]:
            node = nodes.get(name)
            if node is not None and not node.remove(endpoint):
                del nodes[name]
        if not nodes:
            del self._networks[member.network]

    def replace(self, members: Iterable[Member]) -> None:
        """Know these containers and no others."""
        wanted = {member.endpoint: member for member in members}
        for endpoint in set(self._members) - set(wanted):
            self.remove(endpoint)
        for member in wanted.values():
            self.put(member)


def _reverse(address: Address) -> bytes:
    return message.name_to_wire(address.reverse_pointer)
