"""`python -m scow.image`: the image service."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import grpc

from scow.api.image.v1.archive_pb2_grpc import add_ArchiveServiceServicer_to_server
from scow.api.image.v1.image_pb2_grpc import add_ImageServiceServicer_to_server
from scow.api.image.v1.registry_pb2_grpc import add_RegistryServiceServicer_to_server
from scow.api.image.v1.store_pb2_grpc import add_StoreServiceServicer_to_server
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.owners import running_owners, unknown_owners
from scow.core.server import Context, Wiring, main
from scow.image.archive_service import ArchiveServicer
from scow.image.archives.loading import Loader
from scow.image.archives.plainlayers import PlainLayers
from scow.image.archives.saving import Saver
from scow.image.archives.selection import Selector
from scow.image.blobs import Blobs
from scow.image.committing import Committer
from scow.image.drivers.choose import choose
from scow.image.elsewhere import Elsewhere
from scow.image.fetching import Fetcher
from scow.image.gc import Collector
from scow.image.images import Images
from scow.image.importing import Importer
from scow.image.indexing import Indexer
from scow.image.layers import Layers
from scow.image.leases import Leases
from scow.image.listing import Lists
from scow.image.pull import Puller
from scow.image.push import Pusher
from scow.image.reconcile import Reconciler
from scow.image.records import Records
from scow.image.registry.client import Registries
from scow.image.registry.service import RegistryServicer
from scow.image.removal import Removal
from scow.image.search import Searcher
from scow.image.service import ImageServicer
from scow.image.snapshots import SnapshotFolders
from scow.image.snapshotting import Snapshots
from scow.image.store import MIGRATIONS, ImageStore
from scow.image.store_wiring import Keeping, Parts
from scow.image.trust.check import Trust
from scow.image.unfinished import Unfinished
from scow.image.unpack.pool import Limits, UnpackPool
from scow.image.unpacking import Unpacking

if TYPE_CHECKING:
    from scow.image.serving.server import RegistryServer


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    settings = context.config.image
    base = context.config.data("image")
    base.chmod(0o711)  # containers' overlay mounts are looked up through it
    rows = ImageStore(context.store)
    pool = UnpackPool(
        settings.unpack_workers or os.cpu_count() or 1,
        settings.worker_idle_seconds,
        Limits(settings.max_layer_bytes, settings.max_layer_entries),
    )
    blobs, leases = Blobs(base), Leases()
    drivers = choose(settings.snapshotter, base, context.config.run, pool)
    layers = Layers(base, rows, blobs, drivers)
    records = Records(rows, blobs, leases, context.journal)
    images = Images(rows, blobs, context.journal)
    registries = Registries(settings)
    trust = Trust(settings, rows, blobs, registries)
    unpacking = Unpacking(rows, layers, leases)
    snapshots = Snapshots(rows, images, trust, layers, unpacking, SnapshotFolders(base))
    collector = Collector(rows, blobs, layers, leases, context.journal)
    removal = Removal(rows, images, collector, partial(running_owners, context.peers))
    reconciler = Reconciler(rows, blobs, layers, leases, snapshots, collector)
    fetcher = Fetcher(settings, rows, blobs, layers)
    unfinished = Unfinished(rows, settings.ingest_keep_seconds)
    puller = Puller(settings, fetcher, leases, unfinished, records, registries, trust)
    importer = Importer(settings, blobs, layers, leases, records, pool)
    committer = Committer(rows, blobs, leases, records, snapshots)
    loader = Loader(settings, rows, blobs, layers, leases, records, pool)

    keeping = Keeping(
        context,
        Parts(base, rows, blobs, layers, leases, images, snapshots, collector, puller),
    )
    serving = _make_registry(context, rows, blobs, leases, records, collector)

    async def reconcile() -> list[ReconcileAction]:
        if serving is not None:
            serving.reconcile()
        gone = await unknown_owners(context.peers, snapshots.owners())
        actions = await reconciler.reconcile(gone, settings.ingest_keep_seconds)
        return [*actions, *await keeping.reconcile()]

    servicer = ImageServicer(
        images,
        Lists(rows, images),
        removal,
        snapshots,
        puller,
        importer,
        context.journal,
        context.requests,
        reconcile,
    )

    selector = Selector(rows, blobs, images)
    saver = Saver(rows, blobs, leases, selector, PlainLayers(settings, blobs, pool))
    archives = ArchiveServicer(images, committer, loader, saver, context.requests)
    pusher = Pusher(settings, rows, blobs, leases, context.journal, registries, fetcher)
    registry_servicer = RegistryServicer(
        registries,
        pusher,
        Searcher(settings, registries),
        Elsewhere(settings, rows, blobs, registries),
        Indexer(settings, rows, blobs, leases, records, registries),
        context.requests,
    )

    def register(server: grpc.aio.Server) -> None:
        add_ImageServiceServicer_to_server(servicer, server)
        add_ArchiveServiceServicer_to_server(archives, server)
        add_RegistryServiceServicer_to_server(registry_servicer, server)
        add_StoreServiceServicer_to_server(keeping.servicer, server)

    async def drain() -> None:
        if serving is not None:
            await serving.drain()

    async def close() -> None:
        if serving is not None:
            await serving.close()
        await registries.close()
        await pool.close()

    if serving is not None:
        await serving.start(context.config.server.drain_seconds)
    return Wiring(
        register=register,
        reconcile=reconcile,
        drain=drain,
        close=close,
        more=("ArchiveService", "RegistryService", "StoreService"),
    )


def _make_registry(
    context: Context,
    rows: ImageStore,
    blobs: Blobs,
    leases: Leases,
    records: Records,
    collector: Collector,
) -> RegistryServer | None:
    """Return the registry that is to be served, None when it is off."""
    settings = context.config.image
    if not settings.serve.address:
        return None
    # Imported here: a service that serves nobody does not pay for it.
    from scow.image.serving.server import RegistryServer

    return RegistryServer(
        settings,
        context.store,
        rows,
        blobs,
        leases,
        records,
        collector,
        context.journal,
        metrics=bool(context.config.server.metrics),
    )


if __name__ == "__main__":
    main("image", MIGRATIONS, wire)
