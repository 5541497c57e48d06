"""Policies as callers see them: set, shown with what was counted, removed."""

from __future__ import annotations

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import PolicyNotFound
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.tasks import completed
from scow.network import requests
from scow.network.endpoints import Endpoints
from scow.network.policy import model
from scow.network.policy.denials import Denial, Seldom
from scow.network.store import NetworkStore


class PolicyChanges:
    """Changes policies; the lock of endpoints is held meanwhile."""

    def __init__(self, store: Store, journal: Journal, endpoints: Endpoints) -> None:
        self._store = store
        self._journal = journal
        endpoints.policies.tell = self._tell
        self._rows = NetworkStore(store)
        self._seldom = Seldom()
        self._endpoints = endpoints

    def denied(self, denial: Denial) -> None:
        """Write an event of what was denied."""
        if owner := self._endpoints.policies.owner_of(denial.table):
            self._write(owner, {"destination": denial.destination, "rule": denial.rule})

    def _tell(self, owner: str, name: str) -> None:
        if self._seldom.is_new(Denial(owner, "", name)):
            self._write(owner, {"destination": f"dns:{name}"})

    def _write(self, owner: str, facts: dict[str, str]) -> None:
        container = owner.partition("/")[2]
        with self._store.transaction() as tx:
            attributes = {"container": container, **facts}
            self._journal.append(tx, "network", container, "deny", attributes)

    async def set(self, message: pb.Policy) -> None:
        """Set an owner's policy; see the contract.

        Raises:
            ScowError: As the contract says.
        """
        requests.check_owner(message.owner)
        policy = model.check(message)
        async with self._endpoints.lock:
            attached = {e.network_id for e in self._rows.endpoints_of(message.owner)}
            for network in self._rows.networks():
                if network.id in attached:
                    self._endpoints.check_judged(network)
            with self._store.transaction() as tx:
                self._rows.set_policy(tx, message.owner, policy)
            # Also when the caller went away: what is recorded is in force.
            await completed(self._follow(message.owner))

    async def _follow(self, owner: str) -> None:
        endpoints = self._rows.endpoints_of(owner)
        await self._endpoints.policies.follow(owner, endpoints)
        # What its name server says changes too.
        await self._endpoints.names.follow(owner, endpoints)

    async def get(self, owner: str) -> pb.Policy:
        """Return an owner's policy and what was counted.

        Raises:
            PolicyNotFound: It has none.
        """
        policy = self._rows.policy(owner)
        if policy is None:
            raise PolicyNotFound(
                f"{owner} has no policy", what="owner", which=owner, do="set one first"
            )
        described = model.to_proto(owner, policy)
        counted = await self._endpoints.policies.counters(owner)
        for number, rule in enumerate(described.rules):
            rule.packets, rule.bytes = counted.get(str(number), (0, 0))
        rest = counted.get("default", (0, 0))
        described.default_packets, described.default_bytes = rest
        described.denied_names = self._endpoints.policies.denied_names[owner]
        return described

    async def remove(self, owner: str) -> None:
        """Let an owner reach everything again."""
        requests.check_owner(owner)
        async with self._endpoints.lock:
            with self._store.transaction() as tx:
                self._rows.set_policy(tx, owner, None)
            await completed(self._leave(owner))

    async def _leave(self, owner: str) -> None:
        await self._endpoints.policies.remove(owner)
        await self._endpoints.names.follow(owner, self._rows.endpoints_of(owner))
