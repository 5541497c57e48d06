"""What has passed an owner's interfaces, as the kernel counts it inside of the namespace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import LinkFailed
from scow.network import requests
from scow.network.kernel import netns
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.store import Endpoint, NetworkStore

# Columns of /proc/net/dev, proc_net(5).
_COLUMNS = {
    "rx_bytes": 0,
    "rx_packets": 1,
    "rx_errors": 2,
    "rx_dropped": 3,
    "tx_bytes": 8,
    "tx_packets": 9,
    "tx_errors": 10,
    "tx_dropped": 11,
}


class Statistics:
    """Reads the counters."""

    def __init__(self, rows: NetworkStore, networks: Networks, worker: Worker) -> None:
        self._rows = rows
        self._networks = networks
        self._worker = worker

    async def read(self, request: pb.StatisticsRequest) -> pb.StatisticsResponse:
        """Return the counters of each network that an owner is in; what has ended has none.

        Raises:
            InvalidArgument: It is not an owner.
        """
        requests.check_owner(request.owner)
        endpoints = [e for e in self._rows.endpoints_of(request.owner) if e.ready and e.interface]
        counters = await self._worker.run(_counters, endpoints[0]) if endpoints else {}
        names = {network.id: network.name for network in self._networks.all()}
        response = pb.StatisticsResponse()
        for endpoint in endpoints:
            if endpoint.interface in counters:
                response.interfaces.add(
                    network=names[endpoint.network_id],
                    interface=endpoint.interface,
                    **counters[endpoint.interface],
                )
        return response


def _counters(endpoint: Endpoint) -> Mapping[str, dict[str, int]]:
    """Return the counters of all interfaces of an endpoint's namespace, by their names."""
    try:
        with netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor:
            text = netns.inside(descriptor, Path("/proc/thread-self/net/dev").read_text)
    except LinkFailed:
        return {}
    return parse(text)


def parse(text: str) -> Mapping[str, dict[str, int]]:
    """Return the counters that a /proc/net/dev has, by the names of interfaces."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        found[name.strip()] = {field: int(words[column]) for field, column in _COLUMNS.items()}
    return found
