"""Networks: the three that every engine has, and what is said about them."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import AmbiguousId, InvalidFilter, NetworkNotFound
from scow.core import filters as filter_rules
from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.times import now_ns, to_proto
from scow.network import default_network
from scow.network.drivers import Drivers
from scow.network.ipam import plan as plans
from scow.network.ipam.addresses import IPV4, IPV6, Family, Pool
from scow.network.kernel import names
from scow.network.store import Endpoint, Network, NetworkStore, find

DEFAULT = "bridge"
# The networks that every engine has, and their drivers.
_BUILT_IN = {"bridge": "bridge", "host": "host", "none": "null"}
_FILTERS = frozenset({"name", "id", "driver", "label", "scope", "type", "dangling"})
SCOPE = "local"
_log = structlog.get_logger()


class Networks:
    """The networks of one engine."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        drivers: Drivers,
        section: NetworkSection,
        instance: str,
    ) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._journal = journal
        self._drivers = drivers
        self._section = section
        self._instance = instance

    def record(self) -> None:
        """Record the networks that every engine has."""
        present = {network.name for network in self._rows.networks()}
        bridge = names.bridge(self._instance)
        given = default_network.options_of(self._section, bridge)
        with self._store.transaction() as tx:
            self._rows.set_options(tx, DEFAULT, given)
            for name, driver in _BUILT_IN.items():
                if name in present:
                    continue
                network = Network(os.urandom(32).hex(), name, driver, "", now_ns())
                if name == DEFAULT:
                    network = replace(network, bridge=bridge, options=given)
                self._rows.insert_network(tx, network)
                self._journal.append(
                    tx, "network", network.id, "create", {"name": name, "type": driver}
                )

    async def establish(self) -> bool:
        """Give the default network its subnets and its bridge; return False if it has them.

        Raises:
            InvalidConfig: A configured subnet is invalid.
            KernelUnsupported: The kernel has no bridges.
        """
        network = self.get(DEFAULT)
        present = {pool.subnet: pool for pool in network.pools}
        wanted = default_network.pools(self._section)
        if all(pool.subnet.version != IPV4.version for pool in wanted):
            # None is configured: what was chosen once is kept.
            kept = [pool for pool in network.pools if pool.subnet.version == IPV4.version]
            wanted = (*kept, *wanted)
        if present and set(map(_layout, wanted)) == set(map(_layout, network.pools)):
            return False
        leased = self._rows.leased(network.id)
        same = set(map(_layout, wanted))
        lost = [pool.subnet for pool in network.pools if _layout(pool) not in same]
        if any(address in subnet for subnet in lost for address in leased):
            _log.warning(
                "the configured subnets are not what containers have, they are changed when none is left",
                configured=" ".join(str(pool.subnet) for pool in wanted),
                used=" ".join(map(str, present)),
            )
            return False
        plan = self.plan(network.id, wanted, plans.families(wanted, {4}))
        made = await self._drivers[network.driver].establish(network, plan.pools)
        pools = [
            replace(pool, last=present[pool.subnet].last) if pool.subnet in present else pool
            for pool in made
        ]
        with self._store.transaction() as tx:
            self._rows.set_pools(tx, network.id, pools)
        taken = " ".join(str(pool.subnet) for pool in pools)
        _log.info("subnets taken", network=network.name, subnets=taken, bridge=network.bridge)
        return True

    def plan(
        self, network_id: str, asked: tuple[Pool, ...], chosen: tuple[Family, ...]
    ) -> plans.Plan:
        """Return the plan of a network's addresses; see `ipam.plan`.

        Args:
            network_id: The network, which is not in its own way.
            asked: Pools of the subnets that were asked for.
            chosen: Families of which a subnet is to be chosen.
        """
        others = tuple(
            (network.name, pool.subnet)
            for network in self._rows.networks()
            for pool in network.pools
            if network.id != network_id
        )
        seed = f"{_machine_id()} {self._instance}"
        return plans.Plan(asked, chosen, others, self._section.default_address_pools, seed)

    def all(self) -> list[Network]:
        """Return all networks by name."""
        return self._rows.networks()

    def get(self, wanted: str) -> Network:
        """Return a network by name, id, or beginning of an id; empty means "bridge".

        Raises:
            NetworkNotFound: There is none.
            AmbiguousId: Several ids begin like that.
        """
        found = find(self._rows.networks(), wanted or DEFAULT)
        if not found:
            raise NetworkNotFound(
                f"network {wanted} not found",
                what="network",
                which=wanted,
                do="see 'scow network ls'",
            )
        if len(found) > 1:
            raise AmbiguousId(
                f"several networks have an id that begins with {wanted}",
                what="network",
                which=wanted,
                do="give more digits",
            )
        return found[0]

    def select(self, filters: Sequence[Filter]) -> list[pb.Network]:
        """Return the networks that meet the filters, by name."""
        wanted = filter_rules.parse(filters, _FILTERS)
        return [
            self.message(network)
            for network in self._rows.networks()
            if _matches(network, wanted) and self._is_dangling(network, wanted)
        ]

    def _is_dangling(self, network: Network, wanted: dict[str, list[str]]) -> bool:
        """Tell whether a network meets the filter "dangling": nobody is attached, and it can be removed."""
        if "dangling" not in wanted:
            return True
        dangling = not is_built_in(network) and not self._rows.endpoints_in(network.id)
        return dangling == filter_rules.boolean("dangling", wanted["dangling"])

    def message(self, network: Network, without_endpoints: bool = False) -> pb.Network:
        """Return a network's message, with who is attached."""
        attached = () if without_endpoints else self._rows.endpoints_in(network.id)
        message = pb.Network(
            id=network.id,
            name=network.name,
            driver=network.driver,
            scope=SCOPE,
            created_at=to_proto(network.created_ns),
            labels=network.labels,
            options=network.options,
            bridge=network.bridge,
            endpoints=[endpoint_message(network, e) for e in attached if e.ready],
            ipv6=any(pool.subnet.version == IPV6.version for pool in network.pools),
            internal=network.internal,
            attachable=network.attachable,
            ipam_options=network.ipam_options,
        )
        for pool in network.pools:
            message.subnets.add(
                subnet=str(pool.subnet),
                gateway=str(pool.gateway),
                ip_range=str(pool.ip_range or ""),
                aux_addresses={name: str(address) for name, address in pool.aux},
                gateway_chosen=pool.gateway_chosen,
            )
        return message


def endpoint_message(network: Network, endpoint: Endpoint) -> pb.Endpoint:
    """Return an endpoint's message."""
    message = pb.Endpoint(
        id=endpoint.id,
        owner=endpoint.owner,
        network_id=network.id,
        network=network.name,
        aliases=endpoint.aliases,
        name=endpoint.name,
        interface=endpoint.interface,
        gw_priority=endpoint.priority,
        driver_opts=endpoint.options,
        link_local_ips=[str(address.ip) for address in endpoint.link_local],
    )
    gateways = {gateway.version: str(gateway) for gateway in network.gateways()}
    for address in endpoint.addresses:
        prefix = "" if address.version == IPV4.version else "ipv6_"
        setattr(message, f"{prefix or 'ip_'}address", str(address.ip))
        setattr(message, f"{prefix}prefix_length", address.network.prefixlen)
        setattr(message, f"{prefix}gateway", gateways.get(address.version, ""))
    message.mac_address = endpoint.mac
    message.host_link = endpoint.link
    message.ports.extend(port.to_proto() for port in endpoint.ports)
    return message


def is_built_in(network: Network) -> bool:
    """Tell whether a network is one that every engine has."""
    return network.name in _BUILT_IN


def _layout(pool: Pool) -> tuple[object, ...]:
    """Return what the configuration says of a pool."""
    return pool.subnet, pool.gateway, pool.ip_range


def _type(network: Network, values: Sequence[str]) -> str:
    """Return what the filter "type" calls a network.

    Raises:
        InvalidFilter: The filter has another value.
    """
    for value in values:
        if value not in ("builtin", "custom"):
            raise InvalidFilter(
                f"invalid filter: 'type'='{value}'",
                what="filter",
                which="type",
                do="use builtin or custom",
            )
    return "builtin" if is_built_in(network) else "custom"


@functools.cache
def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _matches(network: Network, wanted: dict[str, list[str]]) -> bool:
    for key, values in wanted.items():
        if key == "name" and not any(value in network.name for value in values):
            return False
        if key == "id" and not any(network.id.startswith(value) for value in values):
            return False
        if key == "driver" and network.driver not in values:
            return False
        if key == "scope" and SCOPE not in values:
            return False
        if key == "type" and _type(network, values) not in values:
            return False
        if key == "label" and not filter_rules.match_labels(network.labels, values):
            return False
    return True
