"""Networks of the user: made, removed, pruned.

A network's side of the host is made before its record is written: what a kill leaves in between is a bridge with the
engine's mark and no record, which reconciliation deletes. It is removed the other way round.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

import structlog

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import (
    InvalidArgument,
    InvalidName,
    NameInUse,
    NetworkBuiltIn,
    NetworkInUse,
    ScowError,
)
from scow.core import filters as filter_rules
from scow.core.journal import Journal
from scow.core.labels import check as check_labels
from scow.core.requests import remember
from scow.core.store import Store
from scow.core.times import now_ns, parse_moment
from scow.network import options
from scow.network.endpoints import Endpoints, Parts
from scow.network.ipam import plan as plans
from scow.network.kernel import names
from scow.network.networks import SCOPE, Networks, is_built_in
from scow.network.store import Network, NetworkStore

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
# Words that mean something else where a network is named.
_TAKEN = frozenset({"default", "container"})
_PRUNE_FILTERS = frozenset({"until", "label", "label!"})
_log = structlog.get_logger()


class UserNetworks:
    """Makes and removes networks."""

    def __init__(
        self, store: Store, journal: Journal, networks: Networks, endpoints: Endpoints, parts: Parts
    ) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._journal = journal
        self._networks = networks
        self._endpoints = endpoints
        self._parts = parts

    async def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        """Make a network; see the contract.

        Raises:
            ScowError: As the contract says; then nothing of it is left.
        """
        async with self._endpoints.lock:
            network = self._asked(request)
            driver = self._parts.drivers[network.driver]
            warnings = driver.check(network)
            versions = _versions(request)
            asked = plans.asked(request.subnets, versions)
            chosen = plans.families(asked, versions)
            plan = self._networks.plan(network.id, asked, chosen)
            async with self._endpoints.aside(driver):
                pools = await driver.establish(network, plan.pools)
            self._check_name(network.name)
            return await self._record(replace(network, pools=pools), warnings)

    def _asked(self, request: pb.CreateRequest) -> Network:
        """Return the network that a request describes, without pools."""
        self._check_name(request.name)
        check_labels("labels", request.labels)
        driver = request.driver or "bridge"
        if driver not in self._parts.drivers:
            raise _invalid("driver", driver, f'plugin "{driver}" not found')
        if not self._parts.drivers[driver].capabilities.addresses:
            raise _invalid("driver", driver, f'only one instance of "{driver}" network is allowed')
        if request.scope not in ("", SCOPE):
            raise _invalid(
                "scope", request.scope, f"cannot create a network of scope {request.scope!r}"
            )
        if request.ipam_driver not in ("", "default"):
            raise _invalid(
                "IPAM driver", request.ipam_driver, f'plugin "{request.ipam_driver}" not found'
            )
        identity = os.urandom(32).hex()
        bridge = request.options.get(options.BRIDGE_NAME)
        bridge = bridge or names.user_bridge(self._parts.instance, identity)
        return Network(
            id=identity,
            name=request.name,
            driver=driver,
            bridge=bridge if self._parts.drivers[driver].capabilities.linked else "",
            created_ns=now_ns(),
            labels=dict(request.labels),
            options=dict(request.options),
            internal=request.internal,
            attachable=request.attachable,
            ipv6=6 in _versions(request),
            ipam_options=dict(request.ipam_options),
        )

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise InvalidName(
                f"invalid network name {name!r}",
                what="network",
                which=name,
                do="use letters, digits, '_', '.' and '-', a letter or digit first",
            )
        found = next((n for n in self._networks.all() if n.name == name), None)
        if found is not None and is_built_in(found):
            raise NetworkBuiltIn(
                f"operation is not permitted on predefined {name} network",
                what="network",
                which=name,
                do="choose another name",
            )
        if found is not None:
            raise NameInUse(
                f"network with name {name} already exists",
                what="network",
                which=name,
                do="choose another name",
            )

    async def _record(self, network: Network, warnings: list[str]) -> pb.CreateResponse:
        message = self._networks.message(network)
        response = pb.CreateResponse(network=message, warnings=warnings)
        try:
            with self._store.transaction() as tx:
                self._rows.insert_network(tx, network)
                facts = {"name": network.name, "type": network.driver}
                self._journal.append(tx, "network", network.id, "create", facts, network.labels)
                remember(tx, response)
        except BaseException:
            await self._parts.drivers[network.driver].remove(network)
            raise
        await self._change_table("add", network)
        return response

    async def _change_table(self, verb: str, network: Network) -> None:
        """Have the rules follow; what fails is left to reconciliation."""
        change, wanted = self._parts.table.change_network, self._endpoints.wanted()
        try:
            await self._parts.worker.run(change, verb, network, wanted)
        except ScowError as error:
            _log.warning("rules not made, left to reconciliation", error=str(error))

    async def remove(self, name: str) -> pb.RemoveResponse:
        """Delete a network; see the contract.

        Raises:
            ScowError: As the contract says.
        """
        async with self._endpoints.lock:
            response = pb.RemoveResponse()
            await self._remove(self._networks.get(name), response)
            return response

    async def _remove(self, network: Network, response: pb.RemoveResponse | None) -> None:
        if is_built_in(network):
            raise NetworkBuiltIn(
                f"{network.name} is a pre-defined network and cannot be removed",
                what="network",
                which=network.name,
                do="leave it",
            )
        attached = self._rows.endpoints_in(network.id)
        if attached:
            users = ", ".join(endpoint.name or endpoint.owner for endpoint in attached[:8])
            raise NetworkInUse(
                f"error while removing network: network {network.name} id {network.id} has active endpoints",
                what="network",
                which=network.name,
                do=f"disconnect or remove {users}",
            )
        with self._store.transaction() as tx:
            self._rows.delete_network(tx, network.id)
            facts = {"name": network.name, "type": network.driver}
            self._journal.append(tx, "network", network.id, "destroy", facts, network.labels)
            if response is not None:
                remember(tx, response)
        try:
            await self._parts.drivers[network.driver].remove(network)
        except ScowError as error:
            _log.warning("not taken away, left to reconciliation", error=str(error))
        await self._change_table("delete", network)

    async def prune(self, request: pb.PruneRequest) -> pb.PruneResponse:
        """Delete the networks that nobody is attached to; see the contract."""
        wanted = filter_rules.parse(request.filters, _PRUNE_FILTERS)
        limits = [parse_moment(value, "until") for value in wanted.get("until", ())]
        removed = []
        async with self._endpoints.lock:
            for network in self._networks.all():
                if is_built_in(network) or self._rows.endpoints_in(network.id):
                    continue
                if any(network.created_ns >= limit for limit in limits):
                    continue
                if _is_labelled(network, wanted):
                    await self._remove(network, None)
                    removed.append(network.name)
        return pb.PruneResponse(removed=removed)


def _versions(request: pb.CreateRequest) -> set[int]:
    """Return 4 and 6, as far as a network is to have addresses of them.

    Raises:
        InvalidArgument: It is to have none.
    """
    with_ipv4, with_ipv6 = options.enabled(request.options, not request.without_ipv4, request.ipv6)
    if not with_ipv4 and not with_ipv6:
        raise _invalid("families", request.name, "IPv4 or IPv6 must be enabled")
    return {version for version, wanted in ((4, with_ipv4), (6, with_ipv6)) if wanted}


def _is_labelled(network: Network, wanted: dict[str, list[str]]) -> bool:
    unwanted: Sequence[str] = wanted.get("label!", ())
    if any(filter_rules.match_labels(network.labels, [value]) for value in unwanted):
        return False
    return filter_rules.match_labels(network.labels, wanted.get("label", ()))


def _invalid(what: str, which: str, fault: str) -> InvalidArgument:
    return InvalidArgument(fault, what=what, which=which)
