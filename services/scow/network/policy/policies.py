"""The policies of one engine: recorded by owner, in the kernel while it is attached to something.

A policy is recorded first and then made; reconciliation makes what is missing and removes what nobody has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import structlog

from scow.contract.errors import KernelUnsupported
from scow.network.dns import message
from scow.network.firewall.nftables import Command, Nftables
from scow.network.ipam.addresses import Address
from scow.network.kernel.worker import Worker
from scow.network.policy import rules
from scow.network.policy.denials import group_of
from scow.network.policy.learned import Learned
from scow.network.policy.model import Policy
from scow.network.policy.rules import Place
from scow.network.store import Endpoint, NetworkStore

_SHORT_ID = 12
# What a name meant is allowed for longer than the answer says: who asked takes its time to connect.
_LEAST_SECONDS, _MORE_SECONDS = 60, 30
# Of one answer: a name's owner says how many there are.
_MOST_ADDRESSES = 64
_log = structlog.get_logger()


class NamePolicy:
    """What the name server has to know of one owner's policy.

    Attributes:
        policy: The policy.
    """

    def __init__(self, policies: Policies, owner: str, policy: Policy) -> None:
        self._policies = policies
        self._owner = owner
        self.policy = policy

    def allows(self, name: bytes) -> bool:
        """Tell whether a name may be asked for elsewhere; count it if not."""
        allowed = self.policy.allows_name(_text(name))
        if not allowed:
            self._policies.denied_names[self._owner] += 1
            self._policies.tell(self._owner, _text(name))
        return allowed

    async def learn(self, name: bytes, answer: bytes) -> None:
        """Let rules of a name be about the addresses of an answer, before the answer is given."""
        if numbers := self.policy.rules_of_name(_text(name)):
            found, seconds = message.addresses(answer)
            if found:
                await self._policies.learn(self._owner, numbers, found[:_MOST_ADDRESSES], seconds)


def _text(name: bytes) -> str:
    return message.name_of_wire(name)


class Policies:
    """Makes and removes policies.

    Args:
        worker: For all that blocks.
        rows: The tables.
        instance: Names the tables of nftables.

    Attributes:
        denied_names: By owner, how many names were denied since the service started.
    """

    def __init__(self, worker: Worker, rows: NetworkStore, instance: str) -> None:
        self._worker = worker
        self._rows = rows
        self._instance = instance
        self._group = group_of(instance)
        self._learned = Learned()
        self.denied_names: Counter[str] = Counter()
        # Called with an owner and a name that was denied.
        self.tell: Callable[[str, str], None] = lambda owner, name: None

    @cached_property
    def _nftables(self) -> Nftables:
        return Nftables()

    def _table(self, owner: str) -> str:
        return f"{self._instance}-policy-{owner.partition('/')[2][:_SHORT_ID]}"

    def owner_of(self, table: str) -> str:
        """Return whose policy a table has, empty when nobody's."""
        owners = self._rows.policy_owners()
        return next((owner for owner in owners if self._table(owner) == table), "")

    def judge(self, owner: str) -> NamePolicy | None:
        """Return what the name server has to know of an owner's policy, if it has one."""
        policy = self._rows.policy(owner)
        return None if policy is None else NamePolicy(self, owner, policy)

    async def follow(self, owner: str, endpoints: Sequence[Endpoint]) -> None:
        """Have the kernel keep an owner's policy where it is attached; counters begin anew.

        Raises:
            KernelUnsupported: It lacks what is needed.
        """
        policy = self._rows.policy(owner)
        if policy is None:
            return
        await self._worker.run(self._make, owner, policy, self._places(endpoints))

    def _places(self, endpoints: Iterable[Endpoint]) -> list[Place]:
        networks = {network.id: network for network in self._rows.networks()}
        # In an order of their own: that of endpoints is not always the same.
        return [
            Place(e.link, tuple(a.ip for a in e.addresses), networks[e.network_id].pools)
            for e in sorted(endpoints, key=lambda e: e.link)
            if e.link and e.addresses
        ]

    async def _is_made(self, owner: str, endpoints: Sequence[Endpoint]) -> bool:
        """Tell whether the kernel keeps what is recorded: a kill may have come between the two."""
        policy = self._rows.policy(owner)
        if policy is None:
            return True
        places, table = self._places(endpoints), self._table(owner)
        listed = await self._worker.run(self._list, table)
        return rules.is_made(listed, table, policy, places, self._group)

    def _list(self, table: str) -> list[list[Command] | None]:
        return [self._nftables.list_table(family, table) for family in rules.FAMILIES]

    def _make(self, owner: str, policy: Policy, places: Sequence[Place]) -> None:
        # The new sets are empty.
        self._learned.forget(owner)
        table = self._table(owner)
        made = rules.build(table, policy, places, self._group) if places else rules.remove(table)
        self._nftables.run(made)

    async def remove(self, owner: str) -> None:
        """Have the kernel keep no policy of an owner."""
        self.denied_names.pop(owner, None)
        await self._worker.run(self._remove, owner)

    def _remove(self, owner: str) -> None:
        self._learned.forget(owner)
        self._nftables.run(rules.remove(self._table(owner)))

    async def learn(
        self, owner: str, numbers: Iterable[int], addresses: Sequence[Address], seconds: int
    ) -> None:
        """Add addresses to the sets of an owner's rules, for as long as their answer says and a little more.

        Those that are there for some time already are not added again: a container asks as often as it likes.
        """
        time = max(seconds, _LEAST_SECONDS) + _MORE_SECONDS
        found = {number: self._learned.new(owner, number, addresses, time) for number in numbers}
        if not any(found.values()):
            return
        try:
            await self._worker.run(self._learn, owner, found, time)
        except KernelUnsupported as error:
            _log.warning("a policy's name is not learned", owner=owner, error=error.message)

    def _learn(self, owner: str, found: Mapping[int, Sequence[Address]], seconds: int) -> None:
        table = self._table(owner)
        commands: list[Command] = []
        for number, addresses in found.items():
            commands += rules.learn(table, number, addresses, seconds)
        self._nftables.run(commands)
        for number, addresses in found.items():
            self._learned.told(owner, number, addresses, seconds)

    async def counters(self, owner: str) -> dict[str, tuple[int, int]]:
        """Return packets and bytes by a rule's number, and of "default"."""
        return await self._worker.run(self._count, self._table(owner))

    def _count(self, table: str) -> dict[str, tuple[int, int]]:
        return rules.counters(self._list(table))

    async def restore(self, endpoints: Iterable[Endpoint]) -> list[tuple[str, str]]:
        """Make tables that are not what is recorded, remove those that nobody has.

        Returns:
            Owner or table, and what was done.
        """
        wanted: dict[str, list[Endpoint]] = {}
        owners = self._rows.policy_owners()
        for endpoint in endpoints:
            if endpoint.owner in owners and endpoint.link and endpoint.addresses:
                wanted.setdefault(endpoint.owner, []).append(endpoint)
        present = await self._worker.run(self._nftables.list_tables)
        mine = {name for _, name in present if name.startswith(f"{self._instance}-policy-")}
        done = []
        for table in sorted(mine - {self._table(owner) for owner in wanted}):
            await self._worker.run(self._nftables.run, rules.remove(table))
            done.append((table, "released"))
        for owner, own in wanted.items():
            if not await self._is_made(owner, own):
                await self.follow(owner, own)
                done.append((owner, "rebuilt"))
        return done

    async def close(self) -> None:
        """Free the library's context; policies stay."""
        if "_nftables" in self.__dict__:
            await self._worker.run(self.__dict__.pop("_nftables").close)
