"""The parts that the image service's servicers share, put together once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scow.core.config import ImageSection
from scow.core.server import Context
from scow.image.catalog.images import Images
from scow.image.content.blobs import Blobs
from scow.image.gc.collector import Collector
from scow.image.gc.leases import Leases
from scow.image.layers.drivers.choose import choose
from scow.image.layers.on_demand import LayersOnDemand
from scow.image.layers.store import Layers
from scow.image.metadata.records import Records
from scow.image.metadata.tables import ImageStore
from scow.image.registry_client.client import Registries
from scow.image.snapshots.folders import SnapshotFolders
from scow.image.snapshots.owners import Snapshots
from scow.image.transfer.fetch import Fetcher
from scow.image.transfer.partial import PartialPulls
from scow.image.transfer.pull import Puller
from scow.image.trust.check import Trust
from scow.image.workers.pool import Limits, UnpackPool


@dataclass(frozen=True)
class Parts:
    """What there is one of in the service.

    Attributes:
        base: The service's folder.
    """

    context: Context
    settings: ImageSection
    base: Path
    rows: ImageStore
    blobs: Blobs
    leases: Leases
    pool: UnpackPool
    layers: Layers
    unpacking: LayersOnDemand
    records: Records
    images: Images
    registries: Registries
    snapshots: Snapshots
    collector: Collector
    fetcher: Fetcher
    puller: Puller


def make_parts(context: Context) -> Parts:
    """Make the parts.

    Raises:
        InvalidConfig, KernelUnsupported: See these classes.
    """
    settings, journal = context.config.image, context.journal
    base = context.config.data("image")
    base.chmod(0o711)  # containers' overlay mounts are looked up through it
    rows, blobs, leases, pool = (
        ImageStore(context.store),
        Blobs(base),
        Leases(),
        _make_pool(settings),
    )
    layers = Layers(base, rows, blobs, choose(settings.snapshotter, base, context.config.run, pool))
    records = Records(rows, blobs, leases, journal)
    images = Images(rows, blobs, journal)
    registries = Registries(settings)
    trust = Trust(settings, rows, blobs, registries)
    unpacking = LayersOnDemand(rows, layers, leases)
    fetcher = Fetcher(settings, rows, blobs, layers)
    unfinished = PartialPulls(rows, settings.ingest_keep_seconds)
    return Parts(
        context=context,
        settings=settings,
        base=base,
        rows=rows,
        blobs=blobs,
        leases=leases,
        pool=pool,
        layers=layers,
        unpacking=unpacking,
        records=records,
        images=images,
        registries=registries,
        snapshots=Snapshots(rows, images, trust, layers, unpacking, SnapshotFolders(base)),
        collector=Collector(rows, blobs, layers, leases, journal),
        fetcher=fetcher,
        puller=Puller(settings, fetcher, leases, unfinished, records, registries, trust),
    )


def _make_pool(settings: ImageSection) -> UnpackPool:
    """Return the worker processes, none of them started."""
    return UnpackPool(
        settings.unpack_workers or os.cpu_count() or 1,
        settings.worker_idle_seconds,
        Limits(settings.max_layer_bytes, settings.max_layer_entries),
    )
