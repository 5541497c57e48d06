"""CNI plugins, as a client sees them."""

from __future__ import annotations

from scow.api.network.v1 import cni_plugin_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._link import request_id

_Plugins = list[pb.CniPlugin]


class AsyncCniPlugins:
    """The programs that networks of the driver "cni" are made by; the engine installs and removes none.

    Example::

        for plugin in await client.cni_plugins.list():
            print(plugin.name, plugin.networks)
    """

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def list(self, *, timeout: float | None = None) -> _Plugins:
        """Describe all plugins, by name, without executing any.

        Example::

            print([plugin.name for plugin in await client.cni_plugins.list()])
        """
        response = await self._service.call(
            "CniPluginService/ListCniPlugins",
            pb.ListCniPluginsRequest(),
            pb.ListCniPluginsResponse,
            timeout,
        )
        return [*response.plugins]

    async def get(self, name: str, *, timeout: float | None = None) -> pb.CniPlugin:
        """Describe one plugin, with the versions of the specification that it speaks.

        Args:
            name: What configurations call it: "bridge".
            timeout: Seconds.

        Raises:
            PluginNotFound: No such plugin.

        Example::

            print((await client.cni_plugins.get("bridge")).versions)
        """
        response = await self._service.call(
            "CniPluginService/GetCniPlugin",
            pb.GetCniPluginRequest(name=name),
            pb.GetCniPluginResponse,
            timeout,
        )
        return response.plugin

    async def enable(self, name: str, *, timeout: float | None = None) -> None:
        """Let a plugin be used again.

        Raises:
            PluginNotFound: No such plugin.

        Example::

            await client.cni_plugins.enable("bridge")
        """
        request = pb.EnableCniPluginRequest(request_id=request_id(), name=name)
        await self._service.call(
            "CniPluginService/EnableCniPlugin", request, pb.EnableCniPluginResponse, timeout
        )

    async def disable(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> None:
        """Let a plugin attach no more containers; it is still asked to check and to detach.

        Args:
            name: What configurations call it.
            force: Also while somebody is attached by it: that stays so.
            timeout: Seconds.

        Raises:
            PluginNotFound: No such plugin.
            PluginInUse: Somebody is attached by it.

        Example::

            await client.cni_plugins.disable("bridge")
        """
        request = pb.DisableCniPluginRequest(request_id=request_id(), name=name, force=force)
        await self._service.call(
            "CniPluginService/DisableCniPlugin", request, pb.DisableCniPluginResponse, timeout
        )
