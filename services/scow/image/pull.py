"""Pulls: one flight for each reference, layers side by side, each unpacked while it is downloaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from scow.api.image.v1 import image_pb2 as pb
from scow.core.config import ImageSection
from scow.core.errors import (
    DigestMismatch,
    InvalidManifest,
    PlatformNotFound,
    RegistryDenied,
    RegistryRateLimited,
    RegistryUnavailable,
)
from scow.image import manifests
from scow.image.blobs import Blobs, Ingest
from scow.image.flights import Flights
from scow.image.layers import Layers, check_diff_id
from scow.image.leases import Leases
from scow.image.manifests import Configuration, Descriptor, Document, Manifest
from scow.image.platforms import Platform, host, runnable
from scow.image.records import Content, Records
from scow.image.reference import Reference
from scow.image.registry.client import Registries
from scow.image.registry.credentials import Credentials
from scow.image.registry.pulling import Registry
from scow.image.store import ImageStore, Layer
from scow.image.unpack.pool import Unpacked

Phase = pb.LayerProgress
# Between two reports of a layer's progress.
_REPORT_SECONDS = 0.1
# After these a later pull goes on with what is there.
_RESUMABLE = (RegistryUnavailable, RegistryRateLimited, RegistryDenied)
Key = tuple[str, Platform | None, str]


@dataclass
class Progress:
    """What a pull tells those who wait for it."""

    resolved: str = ""
    layers: dict[str, pb.LayerProgress] = field(default_factory=dict)

    def set(self, digest: str, phase: Phase.Phase.ValueType, current: int, total: int) -> None:
        """Note where a layer is."""
        self.layers[digest] = pb.LayerProgress(
            digest=digest, phase=phase, current=current, total=total
        )


class Puller:
    """Pulls images.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where blobs go.
        layers: Who unpacks them.
        leases: What work under way needs.
        records: Where an image that has come is written down.
        registries: Where images come from.
    """

    def __init__(
        self,
        settings: ImageSection,
        rows: ImageStore,
        blobs: Blobs,
        layers: Layers,
        leases: Leases,
        records: Records,
        registries: Registries,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._leases = leases
        self._records = records
        self._registries = registries
        self._pulls: Flights[Key, Progress, str] = Flights()
        self._downloads: Flights[str, Progress, Layer] = Flights()
        self._slots = asyncio.Semaphore(settings.max_concurrent_downloads)
        self.ingesting: set[str] = set()

    async def pull(
        self, reference: Reference, platform: Platform | None, auth: pb.Auth
    ) -> AsyncIterator[pb.PullResponse | str]:
        """Pull an image: yield progress, then its id.

        Raises:
            ManifestNotFound, PlatformNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable,
            DigestMismatch, LayerCorrupt, InvalidManifest, LimitExceeded, DiskFull: As they say.
        """
        key = (str(reference), platform, auth.SerializeToString(deterministic=True).hex())

        async def work(progress: Progress) -> str:
            return await self._pull(reference, platform, auth, progress)

        async with self._pulls.join(key, Progress, work) as flight:
            told = Progress()
            while not flight.task.done():
                await asyncio.wait([flight.task], timeout=_REPORT_SECONDS)
                for news in _news(told, flight.state):
                    yield news
            image_id = await flight.result()
            for news in _news(told, flight.state):
                yield news
            yield image_id

    async def _pull(
        self, reference: Reference, platform: Platform | None, auth: pb.Auth, progress: Progress
    ) -> str:
        registry = self._registries.pulling(reference, Credentials.of(auth))
        documents, manifest = await self._resolve(registry, reference, platform or host())
        digest = f"@{documents[-1].digest}"
        progress.resolved = str(reference) if reference.digest else f"{reference}{digest}"
        image_id = manifest.config.digest
        wanted = [image_id, *(x.digest for x in documents), *(x.digest for x in manifest.layers)]
        with self._leases.hold(wanted):
            config_data = await registry.small_blob(
                manifest.config, self._settings.max_config_bytes
            )
            config = manifests.parse_configuration(config_data)
            if platform is not None:
                _check_platform(config, platform, reference)
            if len(config.diff_ids) != len(manifest.layers):
                raise InvalidManifest(
                    f"{reference} has {len(manifest.layers)} layers and {len(config.diff_ids)}"
                    " digests of them",
                    what="image",
                    which=str(reference),
                    do="tell who made the image",
                )
            with self._leases.hold(config.diff_ids):
                await self._fetch_all(registry, manifest, config, progress)
                content = Content(
                    documents=documents,
                    configurations={image_id: config_data},
                    references=[str(reference)] if reference.tag else [],
                    repo_digests=[reference.repository + digest],
                    facts={"name": str(reference)},
                )
                await self._records.put(content, "pull")
        return image_id

    async def _resolve(
        self, registry: Registry, reference: Reference, platform: Platform
    ) -> tuple[list[Document], Manifest]:
        """Return the manifest, before it the documents: its own, then the index that the reference names."""
        limit = self._settings.max_layers
        top = manifests.parse_document(*await registry.manifest(reference.target), limit)
        documents = [top]
        if top.is_index:
            entry = manifests.choose_manifest(top.data, platform, str(reference))
            chosen = manifests.parse_document(*await registry.manifest(entry.digest), limit)
            documents.insert(0, chosen)
            if chosen.is_index:
                raise InvalidManifest(
                    f"the index of {reference} names another index for {platform}",
                    what="index",
                    which=str(reference),
                    do="tell who made the image",
                )
        if not documents[0].is_image:
            raise InvalidManifest(
                f"{reference} is no image but {documents[0].artifact_type or 'something else'}",
                what="image",
                which=str(reference),
                do="use a tool for artifacts of this kind",
            )
        return documents, manifests.parse_manifest(documents[0].data, limit)

    async def _fetch_all(
        self,
        registry: Registry,
        manifest: Manifest,
        config: Configuration,
        progress: Progress,
    ) -> None:
        """Fetch the layers that are not there, side by side; the first failure ends all."""
        pairs = dict(zip(config.diff_ids, manifest.layers, strict=True))
        for diff_id, blob in pairs.items():
            there = self._rows.layer(diff_id) is not None
            phase = Phase.PHASE_EXISTS if there else Phase.PHASE_WAITING
            progress.set(blob.digest, phase, blob.size if there else 0, blob.size)
        missing = {d: blob for d, blob in pairs.items() if self._rows.layer(d) is None}
        try:
            async with asyncio.TaskGroup() as group:
                for diff_id, blob in missing.items():
                    group.create_task(self._fetch(registry, blob, diff_id, progress))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if missing:
            await self._layers.sync()

    async def _fetch(
        self, registry: Registry, blob: Descriptor, diff_id: str, progress: Progress
    ) -> None:
        """Join the flight of a layer, and tell its progress as that of this pull."""

        async def work(own: Progress) -> Layer:
            async with self._slots:
                return await self._get_layer(registry, blob, diff_id, own)

        # A layer compressed in two ways is two blobs, one diff id: the flight is the diff id's.
        async with self._downloads.join(diff_id, Progress, work) as flight:
            while not flight.task.done():
                await asyncio.wait([flight.task], timeout=_REPORT_SECONDS)
                progress.layers.update(flight.state.layers)
            await flight.result()
            progress.set(blob.digest, Phase.PHASE_DONE, blob.size, blob.size)

    async def _get_layer(
        self, registry: Registry, blob: Descriptor, diff_id: str, progress: Progress
    ) -> Layer:
        name = blob.digest.removeprefix("sha256:")
        self.ingesting.add(name)
        ingest = await asyncio.to_thread(self._blobs.ingest, blob.digest)
        reporting = asyncio.create_task(_report(progress, blob, ingest))
        try:
            if ingest.size > blob.size:
                ingest.restart()
            number, unpacked = await self._get_from_somebody(registry, blob, diff_id, ingest)
            progress.set(blob.digest, Phase.PHASE_VERIFYING, blob.size, blob.size)
            return await self._layers.keep(number, unpacked, ingest)
        except _RESUMABLE:
            raise
        except Exception:
            ingest.discard()
            raise
        finally:
            reporting.cancel()
            ingest.close()
            self.ingesting.discard(name)

    async def _get_from_somebody(
        self, registry: Registry, blob: Descriptor, diff_id: str, ingest: Ingest
    ) -> tuple[int, Unpacked]:
        """Download and unpack a layer; wrong bytes of a mirror are fetched again from the next host."""
        while True:
            try:
                return await self._download_and_unpack(registry, blob, diff_id, ingest)
            except DigestMismatch:
                if ingest.digest == blob.digest or not registry.distrust(blob.digest):
                    raise
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


def _check_platform(config: Configuration, wanted: Platform, reference: Reference) -> None:
    """Refuse an image of one manifest that is for another platform than the one asked for."""
    if not runnable(config.platform, wanted):
        raise PlatformNotFound(
            f"{reference} has no variant for {wanted}, only for {config.platform}",
            what="platform",
            which=str(wanted),
            do=f"choose {config.platform} with --platform, or another image",
        )


async def _report(progress: Progress, blob: Descriptor, ingest: Ingest) -> None:
    """Note how far a download is, again and again."""
    while True:
        phase = Phase.PHASE_UNPACKING if ingest.size >= blob.size else Phase.PHASE_DOWNLOADING
        progress.set(blob.digest, phase, ingest.size, blob.size)
        await asyncio.sleep(_REPORT_SECONDS)


def _news(told: Progress, now: Progress) -> list[pb.PullResponse]:
    """Return what has changed since it was told last."""
    news = []
    if now.resolved != told.resolved:
        told.resolved = now.resolved
        news.append(pb.PullResponse(resolved=now.resolved))
    for digest, layer in now.layers.items():
        if told.layers.get(digest) != layer:
            told.layers[digest] = layer
            news.append(pb.PullResponse(layer=layer))
    return news
