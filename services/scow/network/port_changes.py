"""Ports that are published, and published no more, while their container runs.

Ports are held before they are recorded, and recorded before packets are diverted; they are given back the other way
round. What a kill leaves in between is made right by reconciliation, which compares records with the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import NotConnected, PortNotPublished
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.tasks import completed
from scow.network import requests
from scow.network.endpoints import Endpoints
from scow.network.networks import Networks
from scow.network.ports import port_mapping
from scow.network.ports.port_mapping import PortRequest, Publish
from scow.network.store import Endpoint, Network, NetworkStore


class PortChanges:
    """Changes the ports of endpoints."""

    def __init__(
        self, store: Store, journal: Journal, networks: Networks, endpoints: Endpoints
    ) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._journal = journal
        self._networks = networks
        self._endpoints = endpoints

    async def publish(self, request: pb.PublishRequest) -> pb.PublishResponse:
        """Publish further ports of an owner; see the contract.

        Raises:
            ScowError: As the contract says; then none of them is published.
        """
        requests.check_owner(request.owner)
        async with self._endpoints.lock:
            endpoint = self._find(request.owner)
            network = self._networks.get(endpoint.network_id)
            wanted = [self._endpoints.port_request(port, network) for port in request.ports]
            new = [each for each in wanted if not _has(endpoint.ports, each)]
            if new:
                # Also when the caller went away: half of it would be left.
                await completed(self._add(network, endpoint, new))
                endpoint = self._find(request.owner)
            return pb.PublishResponse(ports=[port.to_proto() for port in endpoint.ports])

    async def _add(
        self, network: Network, endpoint: Endpoint, wanted: Sequence[PortRequest]
    ) -> None:
        publisher = self._endpoints.publisher
        taken = publisher.take(endpoint.id, network, wanted)
        changed = replace(endpoint, ports=(*endpoint.ports, *taken))
        try:
            self._record(changed, "publish", taken)
            await publisher.change("add", network, changed, taken)
        except BaseException:
            self._record(endpoint, "", ())
            publisher.release(endpoint.id, taken)
            raise

    async def unpublish(self, request: pb.UnpublishRequest) -> pb.UnpublishResponse:
        """Publish some ports of an owner no more; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        requests.check_owner(request.owner)
        async with self._endpoints.lock:
            endpoint = self._find(request.owner)
            going: list[Publish] = []
            for mapping in request.ports:
                going += _matching(endpoint, mapping)
            left = replace(endpoint, ports=tuple(p for p in endpoint.ports if p not in going))
            await completed(self._take_away(left, going))
            return pb.UnpublishResponse(ports=[port.to_proto() for port in left.ports])

    async def _take_away(self, left: Endpoint, going: Sequence[Publish]) -> None:
        self._record(left, "unpublish", going)
        network = self._networks.get(left.network_id)
        await self._endpoints.publisher.change("delete", network, left, going)
        self._endpoints.publisher.release(left.id, going)

    def _find(self, owner: str) -> Endpoint:
        """Return the endpoint that has an owner's ports, or would have them: that with the default route."""
        able = [
            endpoint
            for endpoint in self._rows.endpoints_of(owner)
            if endpoint.ready and self._endpoints.can_publish(endpoint)
        ]
        if not able:
            raise NotConnected(
                f"{owner} is in no network on which ports are published",
                what="owner",
                which=owner,
                do="connect it to a network of the driver bridge",
            )
        return max(able, key=lambda e: (bool(e.ports), bool(e.routers)))

    def _record(self, endpoint: Endpoint, action: str, ports: Sequence[Publish]) -> None:
        network = self._networks.get(endpoint.network_id)
        with self._store.transaction() as tx:
            self._rows.set_ports(tx, endpoint)
            if action:
                attributes = {
                    "name": network.name,
                    "type": network.driver,
                    "container": endpoint.owner.partition("/")[2],
                    "ports": " ".join(map(str, ports)),
                }
                self._journal.append(tx, "network", network.id, action, attributes)


def _has(published: Sequence[Publish], wanted: PortRequest) -> bool:
    """Tell whether what is asked for is there: a repeated request."""
    return bool(wanted.first) and any(
        publish.host_ip in wanted.host_ips
        and publish == wanted.at(publish.host_ip, publish.host_port)
        and wanted.first <= publish.host_port <= wanted.last
        for publish in published
    )


def _matching(endpoint: Endpoint, mapping: PortMapping) -> list[Publish]:
    """Return an endpoint's published ports that a mapping names, wherever it leaves host port or address open.

    Raises:
        PortNotPublished: There are none.
    """
    wanted = port_mapping.check(mapping)
    found = [
        port
        for port in endpoint.ports
        if port.container_port == wanted.container_port
        and (port.protocol, port.count) == (wanted.protocol, wanted.count)
        and port.host_ip in (wanted.host_ips if mapping.host_ip else (port.host_ip,))
        and wanted.first in (0, port.host_port)
    ]
    if not found:
        raise PortNotPublished(
            f"the port {wanted.container_port}/{wanted.protocol} is not published like that",
            what="port",
            which=f"{wanted.container_port}/{wanted.protocol}",
            do="see what is published with 'scow port'; a range is given as a whole",
        )
    return found
