"""The servicer: a wire shell around networks and endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from scow.api.network.v1 import network_pb2 as pb
from scow.api.network.v1 import network_pb2_grpc as pb_grpc
from scow.core.journal import Journal
from scow.core.paging import message_size, page
from scow.core.requests import Requests
from scow.network.cni.calls import Calls
from scow.network.endpoints import Endpoints
from scow.network.limits import Limits
from scow.network.networks import Networks
from scow.network.policy.changes import PolicyChanges
from scow.network.port_changes import PortChanges
from scow.network.reconcile import Reconciler
from scow.network.statistics import Statistics
from scow.network.user_networks import UserNetworks

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Parts:
    """What the servicer calls."""

    networks: Networks
    user_networks: UserNetworks
    endpoints: Endpoints
    reconciler: Reconciler
    calls: Calls
    statistics: Statistics
    port_changes: PortChanges
    limits: Limits
    policies: PolicyChanges


class NetworkServicer(pb_grpc.NetworkServiceServicer):
    """Serves scow.api.network.v1."""

    def __init__(self, parts: Parts, journal: Journal, requests: Requests) -> None:
        self._networks = parts.networks
        self._endpoints = parts.endpoints
        self._users = parts.user_networks
        self._reconciler = parts.reconciler
        self._calls = parts.calls
        self._statistics = parts.statistics
        self._port_changes = parts.port_changes
        self._limits = parts.limits
        self._policies = parts.policies
        self._journal = journal
        self._requests = requests

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
        return pb.GetResponse(network=self._networks.message(network, request.without_endpoints))

    async def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:
        """Make a network."""
        return await self._requests.once(
            "Create", request, pb.CreateResponse, lambda: self._users.create(request)
        )

    async def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:
        """Delete a network."""
        return await self._requests.once(
            "Remove", request, pb.RemoveResponse, lambda: self._users.remove(request.network)
        )

    async def Prune(self, request: pb.PruneRequest, context: Context) -> pb.PruneResponse:
        """Delete the networks that nobody is attached to."""
        return await self._requests.once(
            "Prune", request, pb.PruneResponse, lambda: self._users.prune(request)
        )

    async def Attach(self, request: pb.AttachRequest, context: Context) -> pb.AttachResponse:
        """Plug an owner's network namespace."""
        return await self._endpoints.attach(request)

    async def Detach(self, request: pb.DetachRequest, context: Context) -> pb.DetachResponse:
        """Unplug an owner."""
        return await self._endpoints.detach(request.owner, request.network)

    async def Publish(self, request: pb.PublishRequest, context: Context) -> pb.PublishResponse:
        """Publish further ports."""
        return await self._port_changes.publish(request)

    async def Unpublish(
        self, request: pb.UnpublishRequest, context: Context
    ) -> pb.UnpublishResponse:
        """Publish ports no more."""
        return await self._port_changes.unpublish(request)

    async def Limit(self, request: pb.LimitRequest, context: Context) -> pb.LimitResponse:
        """Change the bandwidth that an owner has."""
        return await self._limits.change(request)

    async def Statistics(
        self, request: pb.StatisticsRequest, context: Context
    ) -> pb.StatisticsResponse:
        """Tell what has passed an owner's interfaces."""
        return await self._statistics.read(request)

    async def CniAdd(self, request: pb.CniAddRequest, context: Context) -> pb.CniAddResponse:
        """Attach a namespace by CNI."""
        return await self._calls.add(request)

    async def CniDel(self, request: pb.CniDelRequest, context: Context) -> pb.CniDelResponse:
        """Take back what CniAdd made."""
        return await self._calls.delete(request)

    async def CniCheck(self, request: pb.CniCheckRequest, context: Context) -> pb.CniCheckResponse:
        """Compare an attachment with what was made."""
        return await self._calls.check(request)

    async def CniStatus(
        self, request: pb.CniStatusRequest, context: Context
    ) -> pb.CniStatusResponse:
        """Tell whether containers can be attached."""
        return await self._calls.status(request)

    async def CniGc(self, request: pb.CniGcRequest, context: Context) -> pb.CniGcResponse:
        """Give back what nobody has."""
        return await self._calls.collect(request)

    async def SetPolicy(
        self, request: pb.SetPolicyRequest, context: Context
    ) -> pb.SetPolicyResponse:
        """Say what an owner may reach."""
        await self._policies.set(request.policy)
        return pb.SetPolicyResponse()

    async def GetPolicy(
        self, request: pb.GetPolicyRequest, context: Context
    ) -> pb.GetPolicyResponse:
        """Return an owner's policy."""
        return pb.GetPolicyResponse(policy=await self._policies.get(request.owner))

    async def RemovePolicy(
        self, request: pb.RemovePolicyRequest, context: Context
    ) -> pb.RemovePolicyResponse:
        """Let an owner reach everything again."""
        await self._policies.remove(request.owner)
        return pb.RemovePolicyResponse()

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
