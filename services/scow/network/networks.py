"""Networks: the three that every engine has, and what is said about them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import structlog

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import AmbiguousId, NetworkNotFound
from scow.core import filters as filter_rules
from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.times import now_ns, to_proto
from scow.network.drivers import Drivers
from scow.network.ipam import subnets
from scow.network.ipam.addresses import IPV4, IPV6, Subnet
from scow.network.kernel import names
from scow.network.store import Endpoint, Network, NetworkStore, find

DEFAULT = "bridge"
# The networks that every engine has, and their drivers.
_BUILT_IN = {"bridge": "bridge", "host": "host", "none": "null"}
_FILTERS = frozenset({"name", "id", "driver", "label"})
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
        with self._store.transaction() as tx:
            for name, driver in _BUILT_IN.items():
                if name in present:
                    continue
                has_link = self._drivers[driver].capabilities.addresses
                bridge = names.bridge(self._instance) if has_link else ""
                network = Network(os.urandom(32).hex(), name, driver, bridge, now_ns())
                self._rows.insert_network(tx, network)
                self._journal.append(
                    tx, "network", network.id, "create", {"name": name, "type": driver}
                )

    async def establish(self) -> bool:
        """Give the default network its subnets and its bridge; return False if it has them.

        Raises:
            InvalidConfig: A configured subnet is none.
            KernelUnsupported: The kernel has no bridges.
        """
        network = self.get(DEFAULT)
        present = {pool.subnet: pool for pool in network.pools}
        wanted = self._configured()
        if all(subnet.version != IPV4.version for subnet in wanted):
            # None is configured: what was chosen once is kept.
            wanted = [*(s for s in present if s.version == IPV4.version), *wanted]
        if present and set(wanted) == set(present):
            return False
        leased = self._rows.leased(network.id)
        lost = set(present) - set(wanted)
        if any(address in subnet for subnet in lost for address in leased):
            _log.warning(
                "the configured subnets are not what containers have, they are changed when none is left",
                configured=" ".join(map(str, wanted)),
                used=" ".join(map(str, present)),
            )
            return False
        made = await self._drivers[network.driver].establish(network, wanted)
        pools = [present.get(pool.subnet, pool) for pool in made]
        with self._store.transaction() as tx:
            self._rows.set_pools(tx, network.id, pools)
        taken = " ".join(str(pool.subnet) for pool in pools)
        _log.info("subnets taken", network=network.name, subnets=taken, bridge=network.bridge)
        return True

    def _configured(self) -> list[Subnet]:
        """Return the subnets that the configuration gives the default network."""
        keys = (
            ("network.subnet", self._section.subnet, IPV4),
            ("network.ipv6_subnet", self._section.ipv6_subnet, IPV6),
        )
        return [subnets.configured(key, value, family) for key, value, family in keys if value]

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
                f"there is no network {wanted}",
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
        return [self.message(n) for n in self._rows.networks() if _matches(n, wanted)]

    def message(self, network: Network) -> pb.Network:
        """Return a network's message, with who is attached."""
        attached = self._rows.endpoints_in(network.id)
        message = pb.Network(
            id=network.id,
            name=network.name,
            driver=network.driver,
            scope="local",
            created_at=to_proto(network.created_ns),
            labels=network.labels,
            options=network.options,
            bridge=network.bridge,
            endpoints=[endpoint_message(network, e) for e in attached if e.ready],
            ipv6=any(pool.subnet.version == IPV6.version for pool in network.pools),
        )
        for pool in network.pools:
            message.subnets.add(subnet=str(pool.subnet), gateway=str(pool.gateway))
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


def _matches(network: Network, wanted: dict[str, list[str]]) -> bool:
    for key, values in wanted.items():
        if key == "name" and not any(value in network.name for value in values):
            return False
        if key == "id" and not any(network.id.startswith(value) for value in values):
            return False
        if key == "driver" and network.driver not in values:
            return False
        if key == "label" and not filter_rules.match_labels(network.labels, values):
            return False
    return True
