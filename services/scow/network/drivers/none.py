"""The driver "null" of the network "none": a namespace with lo and nothing else."""

from __future__ import annotations

from scow.network.drivers.base import Capabilities
from scow.network.drivers.host import HostDriver
from scow.network.kernel import links, netns
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network


class NoneDriver(HostDriver):
    """Brings lo up; the end of the namespace takes it along."""

    capabilities = Capabilities(namespace=True, addresses=False, ports=False)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def attach(self, network: Network, endpoint: Endpoint) -> None:
        """Bring lo up."""
        await self._worker.run(_set_lo_up, endpoint)


def _set_lo_up(endpoint: Endpoint) -> None:
    with netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor:
        inside, _ = netns.netlink_inside(descriptor, "lo")
        with inside:
            links.set_lo_up(inside)
