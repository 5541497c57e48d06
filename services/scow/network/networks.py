"""Networks: the three that every engine has, and what is said about them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import replace

import structlog

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import AmbiguousId, NetworkNotFound
from scow.core import filters as filter_rules
from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.times import now_ns, to_proto
from scow.network.drivers.bridge import Plumbing
from scow.network.ipam import subnets
from scow.network.kernel import names
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network, NetworkStore, find

DEFAULT = "bridge"
_DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}
_FILTERS = frozenset({"name", "id", "driver", "label"})
_log = structlog.get_logger()


class Networks:
    """The networks of one engine."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        worker: Worker,
        plumbing: Plumbing,
        section: NetworkSection,
        instance: str,
    ) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._journal = journal
        self._worker = worker
        self._plumbing = plumbing
        self._section = section
        self._instance = instance

    def record(self) -> None:
        """Record the networks that every engine has."""
        present = {network.name for network in self._rows.networks()}
        with self._store.transaction() as tx:
            for name, driver in _DRIVERS.items():
                if name in present:
                    continue
                bridge = names.bridge(self._instance) if driver == "bridge" else ""
                network = Network(os.urandom(32).hex(), name, driver, "", bridge, "", now_ns())
                self._rows.put_network(tx, network)
                self._journal.append(
                    tx, "network", network.id, "create", {"name": name, "type": driver}
                )

    async def establish(self) -> bool:
        """Give the default network its subnet and its bridge; return False if it has them.

        Raises:
            InvalidConfig: The configured subnet is none.
            KernelUnsupported: The kernel has no bridges.
        """
        network = self.get(DEFAULT)
        wanted = self._section.subnet and str(subnets.configured(self._section.subnet))
        if network.subnet and wanted in ("", network.subnet):
            return False
        if network.subnet and self._rows.addresses(network.id):
            _log.warning(
                "network.subnet is not what containers have, it is changed when none is left",
                configured=wanted,
                used=network.subnet,
            )
            return False
        subnet = await self._worker.run(self._plumbing.establish, network.bridge, wanted)
        with self._store.transaction() as tx:
            self._rows.put_network(tx, replace(network, subnet=subnet, last_address=""))
        _log.info("subnet taken", network=network.name, subnet=subnet, bridge=network.bridge)
        return True

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
        )
        if network.subnet:
            gateway = subnets.gateway(ipaddress.IPv4Network(network.subnet))
            message.subnets.add(subnet=network.subnet, gateway=str(gateway))
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
    if endpoint.address:
        subnet = ipaddress.IPv4Network(network.subnet)
        message.ip_address = endpoint.address
        message.prefix_length = subnet.prefixlen
        message.gateway = str(subnets.gateway(subnet))
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
