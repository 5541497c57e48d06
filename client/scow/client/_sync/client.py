"""The client: one object for one engine."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from scow.client._link import SERVICES, Link
from scow.client._sync.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.timestamp_pb2 import Timestamp

    from scow.client._options import Filters
    from scow.client._sync.backups import Backups
    from scow.client._sync.builds import Builds
    from scow.client._sync.cni_plugins import SyncCniPlugins
    from scow.client._sync.containers import Containers
    from scow.client._sync.events import Events
    from scow.client._sync.images import Images
    from scow.client._sync.manifests import Manifests
    from scow.client._sync.networks import Networks
    from scow.client._sync.plugins import Plugins
    from scow.client._sync.secrets import Secrets
    from scow.client._sync.snapshots import Snapshots
    from scow.client._sync.store import Store
    from scow.client._sync.volumes import Volumes


class Client:
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

        with Client() as client:
            result = client.containers.run("busybox", ["echo", "hello"], auto_remove=True)
            print(result.stdout)
    """

    def __init__(self, host: str | None = None, *, patience: float = 5.0) -> None:
        self._link = Link(host, patience)
        self._services: dict[str, Service] = {}

    @property
    def host(self) -> str:
        """The engine, as "unix://RUN_DIR"."""
        return self._link.host

    def _service(self, name: str) -> Service:
        if name not in self._services:
            self._services[name] = Service(self._link, name)
        return self._services[name]

    @cached_property
    def builds(self) -> Builds:
        """The build service."""
        from scow.client._sync.builds import Builds

        return Builds(self._service("build"))

    @cached_property
    def containers(self) -> Containers:
        """The container service."""
        from scow.client._sync.containers import Containers

        # A thunk: most commands never pull, and then no channel to the image service is made.
        return Containers(self._service("container"), lambda: self.images)

    @cached_property
    def images(self) -> Images:
        """The image service."""
        from scow.client._sync.images import Images

        return Images(self._service("image"))

    @cached_property
    def manifests(self) -> Manifests:
        """The image service, as far as it makes indexes and looks at registries' manifests."""
        from scow.client._sync.manifests import Manifests

        return Manifests(self._service("image"))

    @cached_property
    def store(self) -> Store:
        """What the image service keeps on the disk."""
        from scow.client._sync.store import Store

        return Store(self._service("image"))

    @cached_property
    def volumes(self) -> Volumes:
        """The volume service."""
        from scow.client._sync.volumes import Volumes

        return Volumes(self._service("volume"))

    @cached_property
    def backups(self) -> Backups:
        """The volume service, as far as it sends volumes to registries."""
        from scow.client._sync.backups import Backups

        return Backups(self._service("volume"))

    @cached_property
    def plugins(self) -> Plugins:
        """The volume service, as far as it knows plugins."""
        from scow.client._sync.plugins import Plugins

        return Plugins(self._service("volume"))

    @cached_property
    def cni_plugins(self) -> SyncCniPlugins:
        """The network service, as far as it knows CNI plugins."""
        from scow.client._sync.cni_plugins import SyncCniPlugins

        return SyncCniPlugins(self._service("network"))

    @cached_property
    def snapshots(self) -> Snapshots:
        """The volume service, as far as it copies volumes."""
        from scow.client._sync.snapshots import Snapshots

        return Snapshots(self._service("volume"))

    @cached_property
    def secrets(self) -> Secrets:
        """The container service, as far as it keeps secrets."""
        from scow.client._sync.secrets import Secrets

        return Secrets(self._service("container"))

    @cached_property
    def networks(self) -> Networks:
        """The network service."""
        from scow.client._sync.networks import Networks

        return Networks(self._service("network"), lambda: self._service("container"))

    def events(
        self,
        *,
        since: Timestamp | None = None,
        until: Timestamp | None = None,
        cursor: str = "",
        filters: Filters | None = None,
        services: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> Events:
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

            with client.events(filters={"type": "container"}) as events:
                for found in events:
                    if found.event is not None:
                        print(found.event.action, found.event.object_id)
        """
        from scow.client._sync.events import Events

        return Events(
            self._service,
            services,
            since=since,
            until=until,
            cursor=cursor,
            filters=filters,
            timeout=timeout,
        )

    def health(self, *, timeout: float | None = 5.0) -> dict[str, bool]:
        """Tell of each service whether it serves.

        Args:
            timeout: Seconds for each service.

        Raises:
            PermissionDenied: A socket may not be opened by this user.

        Example::

            print(client.health())  # {"container": True, "image": True, ...}
        """
        return {name: self._service(name).health(timeout) for name in SERVICES}

    def close(self) -> None:
        """Close all connections; calls under way end."""
        while self._services:
            _, service = self._services.popitem()
            service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
