"""The servicer of CNI plugins: a wire shell."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.network.v1 import cni_plugin_pb2 as pb
from scow.api.network.v1 import cni_plugin_pb2_grpc as pb_grpc
from scow.core.requests import Requests
from scow.network.cni.catalogue import Catalogue

Context = grpc.aio.ServicerContext[Any, Any]


class CniPluginServicer(pb_grpc.CniPluginServiceServicer):
    """Serves scow.api.network.v1.CniPluginService."""

    def __init__(self, catalogue: Catalogue, requests: Requests) -> None:
        self._catalogue = catalogue
        self._requests = requests

    async def ListCniPlugins(
        self, request: pb.ListCniPluginsRequest, context: Context
    ) -> pb.ListCniPluginsResponse:
        """Describe all plugins."""
        return pb.ListCniPluginsResponse(plugins=await self._catalogue.select())

    async def GetCniPlugin(
        self, request: pb.GetCniPluginRequest, context: Context
    ) -> pb.GetCniPluginResponse:
        """Describe one plugin."""
        return pb.GetCniPluginResponse(plugin=await self._catalogue.get(request.name))

    async def EnableCniPlugin(
        self, request: pb.EnableCniPluginRequest, context: Context
    ) -> pb.EnableCniPluginResponse:
        """Let a plugin be used again."""

        async def enable() -> None:
            await self._catalogue.enable(request.name)

        return await self._requests.once(
            "EnableCniPlugin", request, pb.EnableCniPluginResponse, enable
        )

    async def DisableCniPlugin(
        self, request: pb.DisableCniPluginRequest, context: Context
    ) -> pb.DisableCniPluginResponse:
        """Let a plugin attach no more containers."""

        async def disable() -> None:
            await self._catalogue.disable(request.name, force=request.force)

        return await self._requests.once(
            "DisableCniPlugin", request, pb.DisableCniPluginResponse, disable
        )
