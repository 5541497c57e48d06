"""The driver "host": containers are in the host's own network namespace."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.network.drivers.base import Capabilities
from scow.network.ipam.addresses import Pool
from scow.network.ipam.plan import Choice
from scow.network.store import Endpoint, Network


class HostDriver:
    """Makes nothing: the record is all that there is of an endpoint."""

    capabilities = Capabilities(namespace=False, addresses=False, linked=False, ports=False)

    def check(self, network: Network) -> list[str]:
        """Accept any options."""
        return []

    async def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        """Make nothing."""
        return ()

    async def attach(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """Plug nothing."""
        return endpoint

    async def route(self, endpoint: Endpoint) -> None:
        """Route nothing."""

    async def is_attached(self, endpoint: Endpoint) -> bool:
        """Tell that it is."""
        return True

    async def detach(self, endpoint: Endpoint, at_once: bool = False) -> None:
        """Cut nothing off."""

    async def remove(self, network: Network) -> None:
        """Take nothing away."""

    async def reconcile(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint]
    ) -> list[ReconcileAction]:
        """Find nothing to do."""
        return []

    async def close(self) -> None:
        """Do nothing."""
