"""The client: one object for one engine."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from scow.client._async.service import AsyncService
from scow.client._link import SERVICES, Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from scow.client._async.backups import AsyncBackups
    from scow.client._async.builds import AsyncBuilds
    from scow.client._async.cni_plugins import AsyncCniPlugins
    from scow.client._async.containers import AsyncContainers
    from scow.client._async.events import AsyncEvents
    from scow.client._async.images import AsyncImages
    from scow.client._async.manifests import AsyncManifests
    from scow.client._async.networks import AsyncNetworks
    from scow.client._async.plugins import AsyncPlugins
    from scow.client._async.secrets import AsyncSecrets
    from scow.client._async.snapshots import AsyncSnapshots
    from scow.client._async.store import AsyncStore
    from scow.client._async.volumes import AsyncVolumes
    from scow.client._options import Filters


class AsyncClient:
    """A client of one engine. Nothing is connected before the first call.

    Every mutation carries a request id of its own, so a call that met a restarting service is made
    again without doing anything twice. Methods take `timeout`, seconds for all attempts of the call
    together; None means no limit.

    Args:
        host: "unix://RUN_DIR", the folder of the engine's sockets; None means the environment's
            SCOW_HOST, then unix:///run/scow.
        patience: Seconds for which calls wait for a service that is restarting.

    Raises:
        InvalidArgument: A host of another form.

    Example::

        async with AsyncClient() as client:
            result = await client.containers.run("busybox", ["echo", "hello"], auto_remove=True)
            print(result.stdout)
    """

    def __init__(self, host: str | None = None, *, patience: float = 5.0) -> None:
        self._link = Link(host, patience)
        self._services: dict[str, AsyncService] = {}

    @property
    def host(self) -> str:
        """The engine, as "unix://RUN_DIR"."""
        return self._link.host

    def _service(self, name: str) -> AsyncService:
        if name not in self._services:
            self._services[name] = AsyncService(self._link, name)
        return self._services[name]

    @cached_property
    def builds(self) -> AsyncBuilds:
        """The build service."""
        from scow.client._async.builds import AsyncBuilds

        return AsyncBuilds(self._service("build"))

    @cached_property
    def containers(self) -> AsyncContainers:
        """The container service."""
        from scow.client._async.containers import AsyncContainers

        # A thunk: most commands never pull, and then no channel to the image service is made.
        return AsyncContainers(self._service("container"), lambda: self.images)

    @cached_property
    def images(self) -> AsyncImages:
        """The image service."""
        from scow.client._async.images import AsyncImages

        return AsyncImages(self._service("image"))

    @cached_property
    def manifests(self) -> AsyncManifests:
        """The image service, as far as it makes indexes and looks at registries' manifests."""
        from scow.client._async.manifests import AsyncManifests

        return AsyncManifests(self._service("image"))

    @cached_property
    def store(self) -> AsyncStore:
        """What the image service keeps on the disk."""
        from scow.client._async.store import AsyncStore

        return AsyncStore(self._service("image"))

    @cached_property
    def volumes(self) -> AsyncVolumes:
        """The volume service."""
        from scow.client._async.volumes import AsyncVolumes

        return AsyncVolumes(self._service("volume"))

    @cached_property
    def backups(self) -> AsyncBackups:
        """The volume service, as far as it sends volumes to registries."""
        from scow.client._async.backups import AsyncBackups

        return AsyncBackups(self._service("volume"))

    @cached_property
    def plugins(self) -> AsyncPlugins:
        """The volume service, as far as it knows plugins."""
        from scow.client._async.plugins import AsyncPlugins

        return AsyncPlugins(self._service("volume"))

    @cached_property
    def cni_plugins(self) -> AsyncCniPlugins:
        """The network service, as far as it knows CNI plugins."""
        from scow.client._async.cni_plugins import AsyncCniPlugins

        return AsyncCniPlugins(self._service("network"))

    @cached_property
    def snapshots(self) -> AsyncSnapshots:
        """The volume service, as far as it copies volumes."""
        from scow.client._async.snapshots import AsyncSnapshots

        return AsyncSnapshots(self._service("volume"))

    @cached_property
    def secrets(self) -> AsyncSecrets:
        """The container service, as far as it keeps secrets."""
        from scow.client._async.secrets import AsyncSecrets

        return AsyncSecrets(self._service("container"))

    @cached_property
    def networks(self) -> AsyncNetworks:
        """The network service."""
        from scow.client._async.networks import AsyncNetworks

        return AsyncNetworks(self._service("network"), lambda: self._service("container"))

    def events(
        self,
        *,
        since: Timestamp | None = None,
        until: Timestamp | None = None,
        cursor: str = "",
        filters: Filters | None = None,
        services: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> AsyncEvents:
        """Give the events of all services as one stream, those of the past in the order of their times.

        The stream goes on where it was when a service restarts. Its `cursor` is where another one goes on.

        Args:
            since: Also those that happened from this time on; None means only what comes from now on.
            until: End at this time; None means never.
            cursor: Of another stream; then `since` counts for services that it does not name.
            filters: "type", "event", "label", "container", "image", "network", "volume"; values of one key are
                alternatives.
            services: Whose events; None means all but those of builds.
            timeout: Seconds for all of it.

        Raises:
            InvalidArgument: No such cursor.
            InvalidFilter: While iterating: an unknown key.

        Example::

            async with client.events(filters={"type": "container"}) as events:
                async for found in events:
                    if found.event is not None:
                        print(found.event.action, found.event.object_id)
        """
        from scow.client._async.events import AsyncEvents

        return AsyncEvents(
            self._service,
            services,
            since=since,
            until=until,
            cursor=cursor,
            filters=filters,
            timeout=timeout,
        )

    async def health(self, *, timeout: float | None = 5.0) -> dict[str, bool]:
        """Tell of each service whether it serves.

        Args:
            timeout: Seconds for each service.

        Raises:
            PermissionDenied: A socket may not be opened by this user.

        Example::

            print(await client.health())  # {"container": True, "image": True, ...}
        """
        return {name: await self._service(name).health(timeout) for name in SERVICES}

    async def close(self) -> None:
        """Close all connections; calls under way end."""
        while self._services:
            _, service = self._services.popitem()
            await service.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
