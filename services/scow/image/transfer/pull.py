"""Pulls: one flight for each reference; what it names is fetched side by side, then recorded at once.

The host's image is unpacked while it comes; images for other platforms are kept as blobs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from scow.api.image.v1 import image_pb2 as pb
from scow.contract.errors import InvalidArgument, InvalidManifest, LimitExceeded
from scow.core.config import ImageSection
from scow.core.flights import Flights
from scow.core.tasks import together
from scow.image.gc.leases import Leases
from scow.image.metadata.records import Content, Records
from scow.image.oci import manifests
from scow.image.oci.manifests import Configuration, Descriptor, Document, no_variant
from scow.image.oci.platforms import Platform, choose, host, runnable
from scow.image.oci.reference import Reference
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import ANONYMOUS, Credentials
from scow.image.registry_client.downloads import Registry
from scow.image.transfer.fetch import Fetcher
from scow.image.transfer.index import Resolver
from scow.image.transfer.partial import PartialPulls
from scow.image.transfer.progress import Progress, telling
from scow.image.trust.check import Trust

# Configurations that are fetched at once, and the largest ones that fit in memory together.
_AT_ONCE = 8


@dataclass(frozen=True)
class Asked:
    """What is to be pulled.

    Attributes:
        reference: Names it.
        platform: Of an index, which image; None means the host's.
        whole: Of an index, all that it names.
        credentials: For the registry.
    """

    reference: Reference
    platform: Platform | None = None
    whole: bool = False
    credentials: Credentials = ANONYMOUS

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.whole and self.platform is not None:
            raise InvalidArgument(
                "one platform and all platforms are asked for",
                what="platform",
                which=str(self.platform),
                do="give one of them",
            )

    @property
    def name(self) -> str:
        """What a later pull of the same has too: the reference, and which platform's image."""
        return f"{self.reference} {'*' if self.whole else self.platform or host()}"


@dataclass(frozen=True)
class Found:
    """What a reference names: documents, children before what names them, and its images' configurations."""

    documents: Sequence[Document]
    configurations: Mapping[str, bytes]
    parsed: Mapping[str, Configuration]

    @property
    def images(self) -> list[Document]:
        """The manifests of images."""
        return [document for document in self.documents if document.is_image]

    @property
    def unpacked(self) -> Document | None:
        """The manifest of the image that is to be unpacked: the best one that this machine runs."""
        images = self.images
        best = choose([self.parsed[x.parts[0].digest].platform for x in images], host())
        return images[best] if best is not None else None


class Puller:
    """Pulls images.

    Args:
        settings: The service's section of the configuration.
        fetcher: Who gets layers and blobs.
        leases: What work under way needs.
        unfinished: Keeps what has come of pulls that are cut.
        records: Where an image that has come is written down.
        registries: Where images come from.
        trust: Who decides whether they may come.
    """

    def __init__(
        self,
        settings: ImageSection,
        fetcher: Fetcher,
        leases: Leases,
        unfinished: PartialPulls,
        records: Records,
        registries: Registries,
        trust: Trust,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._unfinished = unfinished
        self._records = records
        self._registries = registries
        self._trust = trust
        self._fetcher = fetcher
        self._pulls: Flights[Asked, Progress, str] = Flights()

    async def pull(self, asked: Asked) -> AsyncIterator[pb.PullResponse | str]:
        """Pull an image: yield progress, then the id of the image that the reference means on this machine.

        Raises:
            ManifestNotFound, PlatformNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable,
            DigestMismatch, LayerCorrupt, InvalidManifest, LimitExceeded, DiskFull, ImageUntrusted,
            InvalidTrustPolicy: See these classes.
        """

        async def work(progress: Progress) -> str:
            return await self._pull(asked, progress)

        async with self._pulls.join(asked, Progress, work) as flight:
            async for message in telling(flight.task, flight.state, pb.PullResponse):
                yield message
            yield await flight.result()

    def check(self, reference: Reference) -> None:
        """Check that images of a repository may come at all.

        Raises:
            ImageUntrusted, InvalidTrustPolicy: See these classes.
        """
        self._trust.rule(reference.repository)

    async def describe(self, asked: Asked) -> tuple[Document, bytes, Sequence[str]]:
        """Return what one image would be if it were pulled: manifest, configuration, diff ids of its layers.

        Raises:
            As `pull`.
        """
        self.check(asked.reference)
        registry = self._registries.pulling(asked.reference, asked.credentials)
        documents = await self._resolve(registry, asked)
        await self._trust.at_pull(registry, asked.credentials, asked.reference, documents)
        found = await self._configure(registry, documents, asked)
        (image,) = found.images
        config = image.parts[0].digest
        return image, found.configurations[config], found.parsed[config].diff_ids

    async def fetch_blob(self, reference: Reference, blob: Descriptor) -> None:
        """Get a blob of a repository that is not here any more; who calls holds a lease on it.

        Raises:
            ManifestNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable, DigestMismatch,
            DiskFull: See these classes.
        """
        registry = self._registries.pulling(reference, ANONYMOUS)
        await self._fetcher.fetch(registry, {}, [blob], Progress())

    async def fetch_document(self, reference: Reference) -> bytes:
        """Get a manifest or index by its digest reference, without recording it; errors as of `fetch_blob`."""
        data, _ = await self._registries.pulling(reference, ANONYMOUS).manifest(reference.digest)
        return data

    async def _pull(self, asked: Asked, progress: Progress) -> str:
        reference = asked.reference
        self.check(reference)  # what is rejected is not asked for
        registry = self._registries.pulling(reference, asked.credentials)
        documents = await self._resolve(registry, asked)
        digest = f"@{documents[-1].digest}"
        progress.resolve(str(reference) if reference.digest else f"{reference}{digest}")
        evidence = await self._trust.at_pull(
            registry, asked.credentials, reference, documents[-1:] if asked.whole else documents
        )
        wanted = [x.digest for x in (*evidence.documents, *documents)]
        wanted += [part.digest for document in documents for part in document.parts]
        with self._leases.hold(wanted):
            found = await self._configure(registry, documents, asked)
            content = Content(
                documents=[*evidence.documents, *documents],
                blobs=evidence.blobs,
                configurations=found.configurations,
                references=[str(reference)] if reference.tag else [],
                repo_digests=[reference.repository + digest],
                facts={"name": str(reference)},
            )
            diff_ids = [d for config in found.parsed.values() for d in config.diff_ids]
            lasting = self._unfinished.pull(asked.name, [*wanted, *diff_ids])
            with self._leases.hold(diff_ids), lasting:
                layers, blobs = self._parts(found, asked.whole)
                await self._fetcher.fetch(registry, layers, blobs, progress)
                image_id = await self._records.put(content, "pull")
        assert image_id is not None  # _resolve saw to it
        return image_id

    async def _resolve(self, registry: Registry, asked: Asked) -> list[Document]:
        """Return the documents that are pulled: manifests, and after them what names them."""
        resolver = Resolver(registry, str(asked.reference), self._settings)
        top = await resolver.top(asked.reference.target)
        if asked.whole:
            documents = await resolver.everything(top)
        else:
            documents = await resolver.one(top, asked.platform or host())
        if not any(document.is_image for document in documents):
            raise InvalidManifest(
                f"{asked.reference} is not an image but {documents[0].artifact_type or 'something else'}",
                what="image",
                which=str(asked.reference),
                do="use a tool for artifacts of this kind",
            )
        return documents

    async def _configure(
        self, registry: Registry, documents: Sequence[Document], asked: Asked
    ) -> Found:
        """Get the configurations of the images, and check that they fit what is asked for and the manifests."""
        images = [document for document in documents if document.is_image]
        wanted = {document.parts[0].digest: document.parts[0] for document in images}
        configurations = await self._configurations(registry, list(wanted.values()), asked)
        parsed = {d: manifests.parse_configuration(data) for d, data in configurations.items()}
        for document in images:
            about = parsed[document.parts[0].digest]
            if asked.platform is not None and not runnable(about.platform, asked.platform):
                raise no_variant(str(asked.reference), asked.platform, [about.platform])
            if len(about.diff_ids) != len(document.parts) - 1:
                raise InvalidManifest(
                    f"{asked.reference} has {len(document.parts) - 1} layers and"
                    f" {len(about.diff_ids)} digests of them",
                    what="image",
                    which=str(asked.reference),
                    do="tell who made the image",
                )
            _check_pairs(str(asked.reference), about.diff_ids, document.parts[1:])
        return Found(documents, configurations, parsed)

    async def _configurations(
        self, registry: Registry, wanted: Sequence[Descriptor], asked: Asked
    ) -> dict[str, bytes]:
        """Get configurations, some at once; together they may have no more bytes than a few of the largest."""
        limit = self._settings.max_config_bytes
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            batch = wanted[start : start + _AT_ONCE]
            data = await together(*(registry.small_blob(x, limit) for x in batch))
            found |= {x.digest: each for x, each in zip(batch, data, strict=True)}
            if sum(map(len, found.values())) > _AT_ONCE * limit:
                raise LimitExceeded(
                    f"the configurations of {asked.reference} have more than {_AT_ONCE * limit} bytes",
                    what="configurations",
                    which=str(asked.reference),
                    do="pull single platforms, or raise image.max_config_bytes",
                )
        return found

    @staticmethod
    def _parts(found: Found, whole: bool) -> tuple[dict[str, Descriptor], list[Descriptor]]:
        """Return the layers to be unpacked, by diff id, and the blobs that are only kept."""
        here = found.unpacked
        layers = {}
        if here is not None:
            config, *parts = here.parts
            layers = dict(zip(found.parsed[config.digest].diff_ids, parts, strict=True))
        blobs: list[Descriptor] = []
        for document in found.documents:
            # What is unpacked may have come as another blob; an index kept whole has its own.
            if document.is_index or (document is here and not whole):
                continue
            blobs += document.parts[1:] if document.is_image else document.parts
        return layers, blobs


def _check_pairs(name: str, diff_ids: Sequence[str], blobs: Sequence[Descriptor]) -> None:
    """Refuse an image in which one blob unpacks to different layers: one of them is a lie."""
    known: dict[str, str] = {}
    for diff_id, blob in zip(diff_ids, blobs, strict=True):
        if known.setdefault(blob.digest, diff_id) != diff_id:
            raise InvalidManifest(
                f"{name} has the blob {blob.digest} as two different layers",
                what="image",
                which=name,
                do="tell who made the image",
            )
