"""The servicer of plugins: a wire shell."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.volume.v1 import plugin_pb2 as pb
from scow.api.volume.v1 import plugin_pb2_grpc as pb_grpc
from scow.core.requests import Requests
from scow.volume.plugins.plugins import Plugins
from scow.volume.reconcile import Reconciliation
from scow.volume.store import VolumeStore

Context = grpc.aio.ServicerContext[Any, Any]


class PluginServicer(pb_grpc.PluginServiceServicer):
    """Serves scow.api.volume.v1.PluginService."""

    def __init__(
        self,
        plugins: Plugins,
        rows: VolumeStore,
        reconciliation: Reconciliation,
        requests: Requests,
    ) -> None:
        self._plugins = plugins
        self._reconciliation = reconciliation
        self._rows = rows
        self._requests = requests

    async def ListPlugins(
        self, request: pb.ListPluginsRequest, context: Context
    ) -> pb.ListPluginsResponse:
        """Describe all plugins."""
        return pb.ListPluginsResponse(plugins=await self._plugins.select())

    async def GetPlugin(
        self, request: pb.GetPluginRequest, context: Context
    ) -> pb.GetPluginResponse:
        """Describe one plugin."""
        return pb.GetPluginResponse(plugin=await self._plugins.get(request.name))

    async def EnablePlugin(
        self, request: pb.EnablePluginRequest, context: Context
    ) -> pb.EnablePluginResponse:
        """Let a plugin be used again."""

        async def enable() -> pb.EnablePluginResponse:
            self._plugins.enable(request.name)
            return pb.EnablePluginResponse()

        return await self._requests.once("EnablePlugin", request, pb.EnablePluginResponse, enable)

    async def DisablePlugin(
        self, request: pb.DisablePluginRequest, context: Context
    ) -> pb.DisablePluginResponse:
        """Let a plugin take nothing new."""

        async def disable() -> pb.DisablePluginResponse:
            for volume in self._rows.mounted_of(request.name):
                await self._reconciliation.release_gone(volume)
            users = self._rows.mounted_of(request.name)
            self._plugins.disable(request.name, users, force=request.force)
            return pb.DisablePluginResponse()

        return await self._requests.once(
            "DisablePlugin", request, pb.DisablePluginResponse, disable
        )
