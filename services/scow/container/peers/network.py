"""The network service, as containers need it."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.network.v1 import network_pb2
from scow.api.types.v1.types_pb2 import PortMapping
from scow.core.peers import Peers
from scow.core.retry import ask


class Networks:
    """Networks and endpoints. Every call is made again while the service does not answer (see `retry`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def find(self, network: str) -> network_pb2.Network:
        """Return a network by name or id, without those who are attached.

        Raises:
            NetworkNotFound: There is none.
        """
        request = network_pb2.GetRequest(network=network, without_endpoints=True)
        response = await ask("network", lambda: self._peers.network.Get(request))
        found: network_pb2.Network = response.network
        return found

    async def attach(self, request: network_pb2.AttachRequest) -> network_pb2.AttachResponse:
        """Plug an owner's namespace in; the same owner and network again return the same endpoint."""
        return await ask("network", lambda: self._peers.network.Attach(request))

    async def publish(self, owner: str, ports: Sequence[PortMapping]) -> list[PortMapping]:
        """Publish further ports of an owner; return all that it has published."""
        request = network_pb2.PublishRequest(owner=owner, ports=ports)
        return list((await ask("network", lambda: self._peers.network.Publish(request))).ports)

    async def unpublish(self, owner: str, ports: Sequence[PortMapping]) -> list[PortMapping]:
        """Publish ports of an owner no more; return all that it has published."""
        request = network_pb2.UnpublishRequest(owner=owner, ports=ports)
        return list((await ask("network", lambda: self._peers.network.Unpublish(request))).ports)

    async def limit(self, owner: str, network: str, rate_in: str, rate_out: str) -> None:
        """Change the bandwidth that an owner has in a network."""
        request = network_pb2.LimitRequest(
            owner=owner, network=network, rate_in=rate_in, rate_out=rate_out
        )
        await ask("network", lambda: self._peers.network.Limit(request))

    async def detach(self, owner: str, network: str = "") -> network_pb2.DetachResponse:
        """Unplug an owner from a network, or from all; an unknown owner is not an error.

        Raises:
            NetworkNotFound: There is no such network.
        """
        request = network_pb2.DetachRequest(owner=owner, network=network)
        return await ask("network", lambda: self._peers.network.Detach(request))
