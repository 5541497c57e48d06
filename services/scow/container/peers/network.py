"""The network service, as containers need it."""

from __future__ import annotations

from scow.api.network.v1 import network_pb2
from scow.container.peers.retry import ask
from scow.core.peers import Peers


class Networks:
    """Networks and endpoints. Every call is made again while the service does not answer (see `retry`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def require(self, network: str) -> None:
        """Check that a network exists.

        Raises:
            NetworkNotFound: It does not.
        """
        request = network_pb2.GetRequest(network=network)
        await ask("network", lambda: self._peers.network.Get(request))

    async def attach(self, request: network_pb2.AttachRequest) -> network_pb2.AttachResponse:
        """Plug an owner's namespace in; the same owner and network again return the same endpoint."""
        return await ask("network", lambda: self._peers.network.Attach(request))

    async def detach(self, owner: str) -> None:
        """Unplug an owner; an unknown owner is not an error."""
        request = network_pb2.DetachRequest(owner=owner)
        await ask("network", lambda: self._peers.network.Detach(request))
