"""Fetching blobs from registries: layers, each unpacked while it is downloaded, and blobs that are only kept.

A blob has one download at a time, whoever asks for it; a cut one is gone on with by the next pull.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from weakref import WeakValueDictionary

from scow.contract.errors import DataLoss, DigestMismatch, InvalidArchive, LimitExceeded
from scow.core.config import ImageSection
from scow.core.flights import Flight, Flights
from scow.core.tasks import together
from scow.image.content.blobs import Blobs, Ingest
from scow.image.content.buffers import streaming
from scow.image.content.digests import digits_of
from scow.image.layers.store import Layers, check_diff_id
from scow.image.metadata.tables import ImageStore, Layer
from scow.image.oci.manifests import Descriptor
from scow.image.registry_client.downloads import Registry
from scow.image.transfer.partial import RESUMABLE
from scow.image.transfer.progress import REPORT_SECONDS, Phase, Progress
from scow.image.workers.pool import Unpacked


class Fetcher:
    """Fetches layers and blobs.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where blobs go.
        layers: Who unpacks them.
    """

    def __init__(
        self, settings: ImageSection, rows: ImageStore, blobs: Blobs, layers: Layers
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._layer_flights: Flights[str, Progress, Layer] = Flights()
        self._blob_flights: Flights[str, Progress, None] = Flights()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(settings.max_concurrent_downloads)

    async def fetch(
        self,
        registry: Registry,
        layers: Mapping[str, Descriptor],
        blobs: Iterable[Descriptor],
        progress: Progress,
    ) -> None:
        """Fetch what is not there, side by side; the first failure ends all. Who calls holds leases on it.

        Args:
            registry: Where it is.
            layers: By diff id; these are unpacked.
            blobs: These are not.
            progress: Told where each of them is.

        Raises:
            ManifestNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable, DigestMismatch, LayerCorrupt,
            InvalidArchive, LimitExceeded, DiskFull: See these classes.
        """
        missing = {d: blob for d, blob in layers.items() if self._rows.layer(d) is None}
        wanted = {blob.digest: blob for blob in blobs}
        for blob in (*missing.values(), *wanted.values()):
            self._check_size(blob)
        for blob in (*layers.values(), *wanted.values()):
            progress.set(blob.digest, Phase.PHASE_EXISTS, blob.size, blob.size)
        for blob in (*missing.values(), *self._lacking(wanted)):
            progress.set(blob.digest, Phase.PHASE_WAITING, 0, blob.size)
        unpacked = {blob.digest for blob in missing.values()}
        work = [self._layer(registry, blob, diff_id, progress) for diff_id, blob in missing.items()]
        work += [
            self._blob(registry, blob, progress)
            for blob in self._lacking(wanted)
            if blob.digest not in unpacked
        ]
        await together(*work)
        # A layer that somebody else unpacked meanwhile may have come as another blob.
        await together(*(self._blob(registry, blob, progress) for blob in self._lacking(wanted)))

    def _check_size(self, blob: Descriptor) -> None:
        """Refuse a blob that is larger than any layer may be, before a byte of it fills the disk."""
        limit = self._settings.max_layer_bytes
        if blob.size > limit:
            raise LimitExceeded(
                f"the blob {blob.digest} has {blob.size} bytes",
                what="blob",
                which=blob.digest,
                do=f"raise image.max_layer_bytes, which is {limit}",
            )

    def _lacking(self, wanted: Mapping[str, Descriptor]) -> list[Descriptor]:
        return [blob for digest, blob in wanted.items() if self._rows.blob_size(digest) is None]

    async def _layer(
        self, registry: Registry, blob: Descriptor, diff_id: str, progress: Progress
    ) -> None:
        async def work(own: Progress) -> Layer:
            async with self._lock(blob.digest), self._slots:
                known = await self._unpacked_again(blob, diff_id, own)
                return known or await self._get_layer(registry, blob, diff_id, own)

        # A layer compressed in two ways is two blobs, one diff id: the flight is the diff id's.
        async with self._layer_flights.join(diff_id, Progress, work) as flight:
            await _follow(flight, blob, progress)

    async def _blob(self, registry: Registry, blob: Descriptor, progress: Progress) -> None:
        async def work(own: Progress) -> None:
            async with self._lock(blob.digest), self._slots:
                if self._rows.blob_size(blob.digest) is None:
                    await self._get_blob(registry, blob, own)

        async with self._blob_flights.join(blob.digest, Progress, work) as flight:
            await _follow(flight, blob, progress)

    def _lock(self, digest: str) -> asyncio.Lock:
        return self._locks.setdefault(digest, asyncio.Lock())

    async def _unpacked_again(
        self, blob: Descriptor, diff_id: str, progress: Progress
    ) -> Layer | None:
        """Unpack a blob that is here already; None when it is not, or is not what it was."""
        if self._rows.blob_size(blob.digest) is None:
            return None
        progress.set(blob.digest, Phase.PHASE_UNPACKING, blob.size, blob.size)
        try:
            return await self._layers.add(blob.digest, diff_id)
        except (DataLoss, InvalidArchive):
            return None  # what the registry sends decides

    async def _get_blob(self, registry: Registry, blob: Descriptor, progress: Progress) -> None:
        async with self._ingest(blob, progress) as ingest:
            resumed = ingest.size > 0
            while True:
                await registry.download(blob, ingest)
                try:
                    ingest.check(blob.digest, blob.size)
                    break
                except DigestMismatch:
                    # What an earlier download left may have come from anybody.
                    if not registry.distrust(blob.digest) and not resumed:
                        raise
                    resumed = False
                    ingest.restart()
            progress.set(blob.digest, Phase.PHASE_VERIFYING, blob.size, blob.size)
            await self._blobs.commit(ingest)
            with self._rows.transaction() as tx:
                self._rows.insert_blob(tx, blob.digest, blob.size)

    async def _get_layer(
        self, registry: Registry, blob: Descriptor, diff_id: str, progress: Progress
    ) -> Layer:
        async with self._ingest(blob, progress) as ingest:
            number, unpacked = await self._get_from_somebody(registry, blob, diff_id, ingest)
            progress.set(blob.digest, Phase.PHASE_VERIFYING, blob.size, blob.size)
            return await self._layers.keep(number, unpacked, ingest)

    @contextlib.asynccontextmanager
    async def _ingest(self, blob: Descriptor, progress: Progress) -> AsyncIterator[Ingest]:
        """Open a blob's ingest and report its growth; after an error it is kept if a later pull can go on with it."""
        with self._blobs.held(digits_of(blob.digest)), streaming():
            ingest = await asyncio.to_thread(self._blobs.ingest, blob.digest)
            reporting = asyncio.create_task(_report(progress, blob, ingest))
            # When the ingest fails, whoever reads it raises that.
            reporting.add_done_callback(lambda task: task.cancelled() or task.exception())
            try:
                if ingest.size > blob.size:
                    ingest.restart()
                yield ingest
            except RESUMABLE:
                raise
            except Exception:
                ingest.discard()
                raise
            finally:
                reporting.cancel()
                ingest.close()

    async def _get_from_somebody(
        self, registry: Registry, blob: Descriptor, diff_id: str, ingest: Ingest
    ) -> tuple[int, Unpacked]:
        """Download and unpack a layer; wrong bytes of a mirror are fetched again from the next host.

        So are, once, those that an earlier download left: they may have come from anybody.
        """
        resumed = ingest.size > 0
        while True:
            try:
                return await self._download_and_unpack(registry, blob, diff_id, ingest)
            except DigestMismatch:
                again = registry.distrust(blob.digest) or resumed
                if ingest.digest == blob.digest or not again:
                    raise
            resumed = False
            ingest.restart()

    async def _download_and_unpack(
        self, registry: Registry, blob: Descriptor, diff_id: str, ingest: Ingest
    ) -> tuple[int, Unpacked]:
        """Download a layer while it is being unpacked; after an error nothing is left unpacked."""
        unpacking = asyncio.create_task(self._layers.unpack(ingest))
        try:
            try:
                await registry.download(blob, ingest)
            except BaseException as error:
                ingest.fail(error)
                raise
            # Wrong bytes are told as such, not as the broken archive that they make.
            ingest.check(blob.digest, blob.size)
            ingest.finish()
            number, unpacked = await unpacking
            check_diff_id(unpacked, blob.digest, diff_id)
            return number, unpacked
        except BaseException:
            unpacking.cancel()
            await asyncio.wait([unpacking])
            if not unpacking.cancelled() and unpacking.exception() is None:
                await self._layers.discard(unpacking.result()[0])
            raise


async def _follow(
    flight: Flight[Progress, Layer] | Flight[Progress, None], blob: Descriptor, progress: Progress
) -> None:
    """Wait for a flight, and tell its progress as that of this pull."""
    async for _ in flight.state.reports(flight.task):
        progress.merge(flight.state)
    await flight.result()
    progress.set(blob.digest, Phase.PHASE_DONE, blob.size, blob.size)


async def _report(progress: Progress, blob: Descriptor, ingest: Ingest) -> None:
    """Note how far a download is, whenever it has grown, but not too often."""
    complete = False
    while not complete:
        size = ingest.size
        phase = Phase.PHASE_UNPACKING if size >= blob.size else Phase.PHASE_DOWNLOADING
        progress.set(blob.digest, phase, size, blob.size)
        _, complete = await ingest.wait(size)
        await asyncio.sleep(REPORT_SECONDS)
