"""`python -m scow.image`: the image service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import grpc

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.api.image.v1.archive_pb2_grpc import add_ArchiveServiceServicer_to_server
from scow.api.image.v1.artifact_pb2_grpc import add_ArtifactServiceServicer_to_server
from scow.api.image.v1.image_pb2_grpc import add_ImageServiceServicer_to_server
from scow.api.image.v1.layer_pb2_grpc import add_LayerServiceServicer_to_server
from scow.api.image.v1.registry_pb2_grpc import add_RegistryServiceServicer_to_server
from scow.api.image.v1.remote_layer_pb2_grpc import add_RemoteLayerServiceServicer_to_server
from scow.api.image.v1.store_pb2_grpc import add_StoreServiceServicer_to_server
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.owners import running_owners, unknown_owners
from scow.core.server import Context, Wiring, main
from scow.image.archives.load import Loader
from scow.image.archives.plain_layers import PlainLayers
from scow.image.archives.save import Saver
from scow.image.archives.selection import Selector
from scow.image.catalog.lists import Lists
from scow.image.catalog.removal import Removal
from scow.image.catalog.search import Searcher
from scow.image.create.attested import AttestedImages
from scow.image.create.commit import Committer
from scow.image.create.index import Indexer
from scow.image.create.layers import LayerMaker
from scow.image.create.tar_import import Importer
from scow.image.layers.diff.changes import Changes
from scow.image.maintenance import Maintenance
from scow.image.metadata.tables import MIGRATIONS
from scow.image.reconcile import Reconciler
from scow.image.rpc.archive import ArchiveServicer
from scow.image.rpc.artifact import ArtifactServicer
from scow.image.rpc.image import ImageServicer
from scow.image.rpc.layer import LayerServicer
from scow.image.rpc.registry import RegistryServicer
from scow.image.rpc.remote_layer import RemoteLayerServicer
from scow.image.stacks.reader import StackReader
from scow.image.transfer.artifacts import Artifacts
from scow.image.transfer.push import Pusher
from scow.image.transfer.remote import RemoteManifests
from scow.image.transfer.remote_layers import RemoteLayers
from scow.image.wiring import Parts, make_parts

if TYPE_CHECKING:
    from scow.image.registry_server.server import RegistryServer

Reconcile = Callable[[], Awaitable[list[ReconcileAction]]]


async def wire(context: Context) -> Wiring:
    """Put the service together."""
    parts = make_parts(context)
    keeping = Maintenance(parts)
    serving = _make_registry(parts)
    reconcile = _make_reconcile(parts, keeping, serving)
    servicers = (
        _images(parts, reconcile),
        _archives(parts),
        _registries(parts),
        _layers(parts),
    )

    artifacts = ArtifactServicer(Artifacts(parts.registries))
    remote = RemoteLayerServicer(
        RemoteLayers(parts.rows, parts.leases, parts.registries, parts.puller, parts.fetcher)
    )

    def register(server: grpc.aio.Server) -> None:
        images, archives, registries, layers = servicers
        add_ImageServiceServicer_to_server(images, server)
        add_ArchiveServiceServicer_to_server(archives, server)
        add_RegistryServiceServicer_to_server(registries, server)
        add_LayerServiceServicer_to_server(layers, server)
        add_ArtifactServiceServicer_to_server(artifacts, server)
        add_RemoteLayerServiceServicer_to_server(remote, server)
        add_StoreServiceServicer_to_server(keeping.servicer, server)

    async def drain() -> None:
        if serving is not None:
            await serving.drain()

    async def close() -> None:
        if serving is not None:
            await serving.close()
        await parts.registries.close()
        await parts.pool.close()

    if serving is not None:
        await serving.start(context.config.server.drain_seconds)
    return Wiring(
        register=register,
        reconcile=reconcile,
        drain=drain,
        close=close,
        more=(
            "ArchiveService",
            "ArtifactService",
            "LayerService",
            "RegistryService",
            "RemoteLayerService",
            "StoreService",
        ),
    )


def _make_reconcile(
    parts: Parts, keeping: Maintenance, serving: RegistryServer | None
) -> Reconcile:
    reconciler = Reconciler(
        parts.rows, parts.blobs, parts.layers, parts.leases, parts.snapshots, parts.collector
    )

    async def reconcile() -> list[ReconcileAction]:
        if serving is not None:
            serving.reconcile()
        gone = await unknown_owners(parts.context.peers, parts.snapshots.owners())
        actions = await reconciler.reconcile(gone, parts.settings.ingest_keep_seconds)
        return [*actions, *await keeping.reconcile()]

    return reconcile


def _images(parts: Parts, reconcile: Reconcile) -> ImageServicer:
    running = partial(running_owners, parts.context.peers)
    return ImageServicer(
        parts.images,
        Lists(parts.rows, parts.images),
        Removal(parts.rows, parts.images, parts.collector, running),
        parts.snapshots,
        parts.puller,
        Importer(
            parts.settings, parts.blobs, parts.layers, parts.leases, parts.records, parts.pool
        ),
        parts.context.journal,
        parts.context.requests,
        reconcile,
    )


def _archives(parts: Parts) -> ArchiveServicer:
    rows, blobs, leases, pool = parts.rows, parts.blobs, parts.leases, parts.pool
    plain = PlainLayers(parts.settings, blobs, pool)
    return ArchiveServicer(
        parts.images,
        Committer(rows, blobs, leases, parts.records, parts.snapshots, pool),
        Loader(parts.settings, rows, blobs, parts.layers, leases, parts.records, pool),
        Saver(rows, blobs, leases, Selector(rows, blobs, parts.images), plain),
        parts.context.requests,
    )


def _layers(parts: Parts) -> LayerServicer:
    maker = LayerMaker(
        parts.rows,
        parts.blobs,
        parts.leases,
        parts.layers,
        parts.records,
        parts.images,
        parts.snapshots,
        parts.pool,
    )
    attested = AttestedImages(
        parts.settings, parts.rows, parts.blobs, parts.leases, parts.records, parts.images
    )
    reader = StackReader(parts.layers, parts.unpacking)
    changes = Changes(parts.snapshots, parts.layers, parts.unpacking)
    return LayerServicer(parts.images, maker, attested, reader, changes, parts.context.requests)


def _registries(parts: Parts) -> RegistryServicer:
    settings, rows, blobs, leases = parts.settings, parts.rows, parts.blobs, parts.leases
    registries, journal = parts.registries, parts.context.journal
    return RegistryServicer(
        registries,
        Pusher(settings, rows, blobs, leases, journal, registries, parts.fetcher),
        Searcher(settings, registries),
        RemoteManifests(settings, rows, blobs, registries),
        Indexer(settings, rows, blobs, leases, parts.records, registries),
        parts.context.requests,
    )


def _make_registry(parts: Parts) -> RegistryServer | None:
    """Return the registry that is to be served, None when it is off."""
    if not parts.settings.serve.address:
        return None
    # Imported here: a service that serves nobody does not pay for it.
    from scow.image.registry_server.server import RegistryServer

    return RegistryServer(
        parts.settings,
        parts.context.store,
        parts.rows,
        parts.blobs,
        parts.leases,
        parts.records,
        parts.collector,
        parts.context.journal,
        metrics=bool(parts.context.config.server.metrics),
    )


if __name__ == "__main__":
    main("image", MIGRATIONS, wire)
