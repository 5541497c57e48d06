"""Starts and stops the registry."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from scow.contract.errors import ScowError
from scow.core.config import ImageSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.image.content.blobs import Blobs
from scow.image.gc.collector import Collector
from scow.image.gc.leases import Leases
from scow.image.metadata.records import Records
from scow.image.metadata.tables import ImageStore
from scow.image.registry_server.auth.authorization import Authorization
from scow.image.registry_server.blobs import BlobHandlers
from scow.image.registry_server.catalogue import CatalogueHandlers
from scow.image.registry_server.http import listeners
from scow.image.registry_server.http.connections import Doors
from scow.image.registry_server.http.metrics import make_observe
from scow.image.registry_server.http.routes import Handlers, Observe, make_application
from scow.image.registry_server.http.traffic import Traffic
from scow.image.registry_server.manifests import ManifestHandlers
from scow.image.registry_server.names import Naming
from scow.image.registry_server.registry import Registry
from scow.image.registry_server.removal import Removal
from scow.image.registry_server.repositories import Repositories
from scow.image.registry_server.upload_requests import UploadHandlers
from scow.image.registry_server.uploads import Uploads

# For which a connection is kept without a request.
_IDLE_SECONDS = 75.0
# For a handler that is cancelled.
_CUT_SECONDS = 0.5
_log = structlog.get_logger()


class RegistryServer:
    """The registry as it runs.

    Args:
        settings: The service's section of the configuration.
        store: The service's database.
        rows: Its tables.
        blobs: The blobs.
        leases: What work under way needs.
        records: Where what is pushed is written down.
        collector: Who deletes what nothing holds.
        journal: Where deletions are written down.
        metrics: Whether requests are counted.

    Raises:
        InvalidConfig: A value of the section is wrong.
    """

    def __init__(
        self,
        settings: ImageSection,
        store: Store,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        records: Records,
        collector: Collector,
        journal: Journal,
        *,
        metrics: bool,
    ) -> None:
        serve = settings.serve
        self._addresses = [listeners.parse_address(text) for text in serve.address]
        listeners.check_plain(serve, self._addresses)
        self._certificate = listeners.make_certificate(serve)
        self._repositories = Repositories(store, serve.keep_seconds)
        naming = Naming(serve.name)
        self._authorization = Authorization(serve, naming)
        registry = Registry(
            settings, rows, blobs, leases, self._repositories, naming, self._authorization
        )
        self._uploads = Uploads(rows, blobs, leases, self._repositories)
        removal = Removal(rows, self._repositories, collector, journal)
        self._traffic = Traffic()
        self._doors = Doors(
            serve.max_connections, serve.max_connections_per_address, serve.stall_seconds
        )
        self._drain_seconds = 0.0
        observe: Observe | None = make_observe() if metrics else None
        handlers = Handlers(
            self._authorization,
            BlobHandlers(registry, removal),
            UploadHandlers(registry, self._uploads),
            ManifestHandlers(registry, records, removal),
            CatalogueHandlers(registry),
        )
        self._app = make_application(handlers, self._traffic, self._doors, observe)
        self._runner: web.AppRunner | None = None
        self._listening: list[asyncio.Server] = []

    async def start(self, drain_seconds: float) -> None:
        """Listen on all addresses.

        Args:
            drain_seconds: That requests under way get when the registry stops.

        Raises:
            AddressInUse, InvalidConfig: See these classes. Nothing listens then.
        """
        self._drain_seconds = drain_seconds
        runner = web.AppRunner(
            self._app,
            handle_signals=False,
            access_log=None,
            auto_decompress=False,  # what is pushed is kept as it comes
            keepalive_timeout=_IDLE_SECONDS,
            shutdown_timeout=_CUT_SECONDS,
        )
        self._runner = runner
        await runner.setup()
        assert runner.server is not None
        try:
            for address in self._addresses:
                make = self._doors.guard(runner.server)
                self._listening.append(await listeners.listen(make, address, self._certificate))
        except BaseException:
            await self.drain()
            await self.close()
            raise
        _log.info("registry serves", addresses=[str(address) for address in self._addresses])

    def reconcile(self) -> None:
        """Forget what has expired; read users and certificate again if they have changed."""
        self._repositories.forget_orphans()
        self._uploads.expire()
        for refresh in (
            self._authorization.refresh,
            *((self._certificate.refresh,) if self._certificate else ()),
        ):
            try:
                refresh()
            except ScowError as error:
                _log.error("registry keeps what it has read before", error=str(error))

    async def drain(self) -> None:
        """Take no more connections, and let requests under way end."""
        for server in self._listening:
            server.close()
        # aiohttp's own waiting takes no more bytes of an upload.
        await self._traffic.drained(self._drain_seconds)

    async def close(self) -> None:
        """Cut what is left."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._uploads.close()
