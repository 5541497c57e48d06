"""The driver "null" of the network "none": a namespace with lo and nothing else."""

from __future__ import annotations

from scow.network.drivers import inside
from scow.network.drivers.base import Capabilities
from scow.network.drivers.host import HostDriver
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network


class NoneDriver(HostDriver):
    """Brings lo up; the end of the namespace takes it along."""

    capabilities = Capabilities(namespace=True, addresses=False, linked=False, ports=False)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def attach(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """Bring lo up."""
        await self._worker.run(inside.set_lo_up, endpoint)
        return endpoint
