"""The network service, as a client sees it."""

from __future__ import annotations

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._options import Filters, filters_of
from scow.client._watch import resume_watch

_Networks = list[pb.Network]
_Actions = list[ReconcileAction]


class AsyncNetworks:
    """Networks.

    Example::

        bridge = await client.networks.get("bridge")
        print(bridge.subnets[0].subnet)
    """

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def get(self, network: str, *, timeout: float | None = None) -> pb.Network:
        """Describe one network and who is attached.

        Args:
            network: Name or id.
            timeout: Seconds.

        Raises:
            NetworkNotFound: No such network.

        Example::

            print((await client.networks.get("bridge")).endpoints)
        """
        request = pb.GetRequest(network=network)
        return (await self._service.call("Get", request, pb.GetResponse, timeout)).network

    async def list(
        self, *, filters: Filters | None = None, timeout: float | None = None
    ) -> _Networks:
        """Describe all networks.

        Args:
            filters: "name", "id", "driver", "label"; values of one key are alternatives.
            timeout: Seconds for each page.

        Raises:
            InvalidFilter: An unknown key.

        Example::

            for network in await client.networks.list():
                print(network.name, network.driver)
        """
        networks: _Networks = []
        request = pb.ListRequest(filters=filters_of(filters))
        while True:
            response = await self._service.call("List", request, pb.ListResponse, timeout)
            networks.extend(response.networks)
            if not response.next_page_token:
                return networks
            request.page_token = response.next_page_token

    async def reconcile(self, *, timeout: float | None = None) -> _Actions:
        """Compare records with links, rules and owners now, and tell what was done.

        Example::

            print(await client.networks.reconcile())
        """
        request = pb.ReconcileRequest()
        response = await self._service.call("Reconcile", request, pb.ReconcileResponse, timeout)
        return [*response.actions]

    def watch(
        self,
        from_revision: int = 0,
        *,
        filters: Filters | None = None,
        timeout: float | None = None,
    ) -> AsyncStream[pb.WatchResponse]:
        """Replay the journal, then follow it; goes on where it was after a restart.

        Args:
            from_revision: First revision to deliver; 0 means only what comes from now on.
            filters: "type", "object", "action" and the like.
            timeout: Seconds for all of it.

        Example::

            async with client.networks.watch(1) as events:
                async for message in events:
                    print(message.event.action, message.event.object_id)
        """
        request = pb.WatchRequest(from_revision=from_revision, filters=filters_of(filters))
        return self._service.stream(
            "Watch", request, pb.WatchResponse, timeout, lambda last: resume_watch(request, last)
        )
