"""Reconciliation: records against drivers, rules, ports, files and owners."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import LinkFailed
from scow.core.owners import unknown_owners
from scow.core.peers import Peers
from scow.network import rates
from scow.network.endpoints import Endpoints, Parts
from scow.network.firewall.table import Wanted
from scow.network.networks import Networks
from scow.network.store import Endpoint, Network, NetworkStore

_log = structlog.get_logger()


class Reconciler:
    """Rebuilds what is missing and releases what nobody owns."""

    def __init__(
        self,
        rows: NetworkStore,
        networks: Networks,
        endpoints: Endpoints,
        parts: Parts,
        peers: Peers,
    ) -> None:
        self._rows = rows
        self._networks = networks
        self._endpoints = endpoints
        self._parts = parts
        self._peers = peers
        self._advised: list[str] = []

    async def run(self) -> list[ReconcileAction]:
        """Do it, and return what was done."""
        known = {e.owner for e in self._rows.endpoints()} | self._rows.policy_owners()
        gone = await unknown_owners(self._peers, known)
        self._networks.record()
        actions = await self._release(gone)
        async with self._endpoints.lock:
            await self._networks.establish()
            wanted = self._endpoints.wanted()
            actions += await self._hold_ports(wanted)
            actions += await self._restore(wanted)
            await self._route(wanted)
            await self._endpoints.names.restore(wanted.endpoints)
            actions += await self._restore_policies(gone, wanted)
            owners = {endpoint.owner for endpoint in wanted.endpoints}
            for name in self._parts.files.remove_others(owners):
                actions.append(_action(f"files/{name}", "released", "files without an owner"))
        actions += await self._restore_aside()
        await self._warn()
        return actions

    async def restore_tables(self) -> list[ReconcileAction]:
        """Compare tables alone with the records: somebody deleted some a moment ago, this service itself maybe."""
        async with self._endpoints.lock:
            wanted = self._endpoints.wanted()
            actions = await self._restore_table(wanted)
            return actions + await self._restore_policies(set(), wanted)

    async def _restore_table(self, wanted: Wanted) -> list[ReconcileAction]:
        fault = await self._parts.worker.run(self._parts.table.restore, wanted)
        return [_action("table", "rebuilt", fault)] if fault else []

    async def _release(self, gone: set[str]) -> list[ReconcileAction]:
        actions = []
        for owner in sorted({endpoint.owner for endpoint in self._rows.endpoints()}):
            # Who is being changed is not half made, and not gone.
            if not self._endpoints.is_changing(owner):
                async with self._endpoints.changing(owner):
                    actions += await self._release_of(owner, owner in gone)
        return actions

    async def _release_of(self, owner: str, is_gone: bool) -> list[ReconcileAction]:
        own = self._rows.endpoints_of(owner)
        if is_gone:
            await self._endpoints.release_owner(owner)
            return [_of(endpoint, "released", f"owner {owner} is gone") for endpoint in own]
        half = [endpoint for endpoint in own if not endpoint.ready]
        for endpoint in half:
            await self._endpoints.release(endpoint)
        return [_of(endpoint, "released", "half made") for endpoint in half]

    async def _restore_policies(self, gone: set[str], wanted: Wanted) -> list[ReconcileAction]:
        for owner in self._rows.policy_owners() & gone:
            self._rows.forget_policy(owner)
        done = await self._endpoints.policies.restore(wanted.endpoints)
        return [_action(name, what, "its policy") for name, what in done]

    async def _hold_ports(self, wanted: Wanted) -> list[ReconcileAction]:
        actions = []
        publisher = self._endpoints.publisher
        networks = {network.id: network for network in wanted.networks}
        for endpoint in wanted.endpoints:
            network = networks[endpoint.network_id]
            for publish, why in publisher.retake(network, endpoint):
                _log.warning("a published port is not held", port=str(publish), reason=why)
                actions.append(_of(endpoint, "reported", f"{publish} is not held: {why}"))
            await publisher.carry(network, endpoint)
        return actions

    async def _restore(self, wanted: Wanted) -> list[ReconcileAction]:
        """Compare with the kernel."""
        actions = []
        for name, driver in self._parts.drivers.items():
            if driver.capabilities.prompt:
                actions += await driver.reconcile(*_of_driver(name, wanted))
        await self._parts.worker.run(rates.apply_all, wanted.endpoints)
        return actions + await self._restore_table(wanted)

    async def _restore_aside(self) -> list[ReconcileAction]:
        """Do the same for drivers that are not prompt, while others are attached and detached."""
        actions = []
        for name, driver in self._parts.drivers.items():
            _, present = _of_driver(name, self._endpoints.wanted())
            if driver.capabilities.prompt:
                continue
            async with self._endpoints.keeping({endpoint.owner for endpoint in present}) as kept:
                networks, endpoints = _of_driver(name, self._endpoints.wanted())
                given = [replace(e, ready=e.ready and e.owner in kept) for e in endpoints]
                actions += await driver.reconcile(networks, given)
        return actions

    async def _route(self, wanted: Wanted) -> None:
        """Have default routes lead where the records say, for owners that are in several networks."""
        several = Counter(endpoint.owner for endpoint in wanted.endpoints)
        networks = {network.id: network for network in wanted.networks}
        for endpoint in wanted.endpoints:
            if several[endpoint.owner] > 1 and endpoint.routers:
                driver = self._parts.drivers[networks[endpoint.network_id].driver]
                with contextlib.suppress(LinkFailed):  # it has ended, and is left to its owner
                    await driver.route(endpoint)

    async def _warn(self) -> None:
        """Say once that another firewall is in the way: no rule of ours can override it."""
        bridges = [network.bridge for network in self._networks.all() if network.bridge]
        advice = await self._parts.worker.run(self._parts.table.advice, bridges)
        if advice and advice != self._advised:
            _log.warning(
                "another firewall drops forwarded packets: containers do not reach other machines, nor these "
                "their ports, until it lets the bridges pass",
                do="; ".join(advice),
            )
        self._advised = advice


def _of_driver(name: str, wanted: Wanted) -> tuple[list[Network], list[Endpoint]]:
    """Return a driver's networks and the endpoints in them."""
    networks = [network for network in wanted.networks if network.driver == name]
    ids = {network.id for network in networks}
    return networks, [e for e in wanted.endpoints if e.network_id in ids]


def _of(endpoint: Endpoint, action: str, detail: str) -> ReconcileAction:
    return _action(endpoint.owner, action, detail)


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=action, detail=detail)
