"""Reconciliation: records against drivers, rules, ports, files and owners."""

from __future__ import annotations

import contextlib
from collections import Counter

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import LinkFailed
from scow.core.owners import unknown_owners
from scow.core.peers import Peers
from scow.network import rates
from scow.network.endpoints import Endpoints, Parts
from scow.network.firewall.table import Wanted
from scow.network.networks import Networks
from scow.network.store import Endpoint, NetworkStore

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
        self._warned = False

    async def run(self) -> list[ReconcileAction]:
        """Do it, and return what was done."""
        known = {e.owner for e in self._rows.endpoints()} | self._rows.policy_owners()
        gone = await unknown_owners(self._peers, known)
        self._networks.record()
        async with self._endpoints.lock:
            actions = await self._release(gone)
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
        for endpoint in self._rows.endpoints():
            if endpoint.owner in gone:
                reason = f"owner {endpoint.owner} is gone"
                await self._endpoints.release_owner(endpoint.owner)
            elif not endpoint.ready:
                reason = "half made"
                await self._endpoints.release(endpoint)
            else:
                continue
            actions.append(_of(endpoint, "released", reason))
        return actions

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
            networks = [network for network in wanted.networks if network.driver == name]
            ids = {network.id for network in networks}
            endpoints = [e for e in wanted.endpoints if e.network_id in ids]
            actions += await driver.reconcile(networks, endpoints)
        await self._parts.worker.run(rates.apply_all, wanted.endpoints)
        return actions + await self._restore_table(wanted)

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
        dropped = await self._parts.worker.run(self._parts.table.forward_is_dropped)
        if dropped and not self._warned:
            bridges = [n.bridge for n in self._networks.all() if n.bridge]
            ways = [f"-{way} {bridge}" for bridge in bridges for way in "io"]
            _log.warning(
                "another firewall drops forwarded packets: containers do not reach other machines, nor these "
                "their ports, until it lets the bridge pass",
                do="; ".join(f"iptables -I DOCKER-USER {way} -j ACCEPT" for way in ways),
            )
        self._warned = dropped


def _of(endpoint: Endpoint, action: str, detail: str) -> ReconcileAction:
    return _action(endpoint.owner, action, detail)


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=action, detail=detail)
