"""Volume plugins, as a client sees them."""

from __future__ import annotations

from scow.api.volume.v1 import plugin_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._link import request_id

_Plugins = list[pb.Plugin]


class AsyncPlugins:
    """Programs that keep volumes; the engine finds them by their sockets, and starts and stops none.

    Example::

        for plugin in await client.plugins.list():
            print(plugin.name, plugin.fault or "ready")
    """

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def list(self, *, timeout: float | None = None) -> _Plugins:
        """Describe all plugins, by name; each of them is asked what it is.

        Example::

            print([plugin.name for plugin in await client.plugins.list()])
        """
        response = await self._service.call(
            "PluginService/ListPlugins", pb.ListPluginsRequest(), pb.ListPluginsResponse, timeout
        )
        return [*response.plugins]

    async def get(self, name: str, *, timeout: float | None = None) -> pb.Plugin:
        """Describe one plugin, with the volumes that it has.

        Raises:
            PluginNotFound: No such plugin.

        Example::

            print((await client.plugins.get("nfs")).volumes)
        """
        request = pb.GetPluginRequest(name=name)
        response = await self._service.call(
            "PluginService/GetPlugin", request, pb.GetPluginResponse, timeout
        )
        return response.plugin

    async def enable(self, name: str, *, timeout: float | None = None) -> None:
        """Let a plugin be used again.

        Raises:
            PluginNotFound: No such plugin.

        Example::

            await client.plugins.enable("nfs")
        """
        request = pb.EnablePluginRequest(request_id=request_id(), name=name)
        await self._service.call(
            "PluginService/EnablePlugin", request, pb.EnablePluginResponse, timeout
        )

    async def disable(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> None:
        """Let a plugin take no new volumes and mounts; it is still asked to unmount and to remove.

        Args:
            name: Of the plugin.
            force: Also while volumes of it are mounted: they stay so.
            timeout: Seconds.

        Raises:
            PluginNotFound: No such plugin.
            PluginInUse: Volumes of it are mounted.

        Example::

            await client.plugins.disable("nfs")
        """
        request = pb.DisablePluginRequest(request_id=request_id(), name=name, force=force)
        await self._service.call(
            "PluginService/DisablePlugin", request, pb.DisablePluginResponse, timeout
        )
