"""The servicer: a wire shell around networks and endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.network.v1 import network_pb2 as pb
from scow.api.network.v1 import network_pb2_grpc as pb_grpc
from scow.core.journal import Journal
from scow.core.paging import message_size, page
from scow.network.endpoints import Endpoints
from scow.network.networks import Networks
from scow.network.reconcile import Reconciler

Context = grpc.aio.ServicerContext[Any, Any]


class NetworkServicer(pb_grpc.NetworkServiceServicer):
    """Serves scow.api.network.v1."""

    def __init__(
        self, networks: Networks, endpoints: Endpoints, reconciler: Reconciler, journal: Journal
    ) -> None:
        self._networks = networks
        self._endpoints = endpoints
        self._reconciler = reconciler
        self._journal = journal

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Describe all networks."""
        networks = self._networks.select(request.filters)
        items, token = page(
            networks,
            request.page_size,
            request.page_token,
            key=lambda n: n.name,
            size=message_size,
        )
        return pb.ListResponse(networks=items, next_page_token=token)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Describe one network."""
        network = self._networks.get(request.network)
        return pb.GetResponse(network=self._networks.message(network))

    async def Attach(self, request: pb.AttachRequest, context: Context) -> pb.AttachResponse:
        """Plug an owner's network namespace."""
        return await self._endpoints.attach(request)

    async def Detach(self, request: pb.DetachRequest, context: Context) -> pb.DetachResponse:
        """Unplug an owner."""
        await self._endpoints.detach(request.owner)
        return pb.DetachResponse()

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Context
    ) -> pb.ReconcileResponse:
        """Compare records with reality now."""
        return pb.ReconcileResponse(actions=await self._reconciler.run())

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Replay the journal, then follow it."""
        async for response in self._journal.watch(request, pb.WatchResponse):
            yield response
