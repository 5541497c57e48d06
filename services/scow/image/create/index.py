"""Making indexes of manifests that are here or at registries.

Of a manifest that is at a registry only the document is recorded, and where its parts can be had; a push of the index
takes them from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.contract.errors import InvalidArgument, InvalidReference, NameInUse
from scow.core.config import ImageSection
from scow.image.catalog.images import manifests_below
from scow.image.content.blobs import Blobs
from scow.image.gc.leases import Leases
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, Document
from scow.image.oci.platforms import Platform, canonical
from scow.image.oci.reference import Reference
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.downloads import Registry
from scow.image.transfer.index import Resolver

# Of a configuration, what an index says about a platform.
_PLATFORM_KEYS = ("architecture", "os", "os.version", "os.features", "variant")
Entry = dict[str, Any]


@dataclass
class _Draft:
    """An index that is being made.

    Attributes:
        entries: As they are written, with the platform of each; None for what is for none.
        documents: What the entries name, and what that names.
        origins: Of those whose parts are not here, the repositories.
    """

    entries: list[tuple[Platform | None, Entry]] = field(default_factory=list)
    documents: dict[str, Document] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add(self, platform: Platform | None, entry: Entry) -> None:
        """Add an entry, in place of those of the same manifest or platform."""
        replaced = [
            position
            for position, (known, other) in enumerate(self.entries)
            if other["digest"] == entry["digest"] or (platform is not None and known == platform)
        ]
        place = replaced[0] if replaced else len(self.entries)
        kept = [each for n, each in enumerate(self.entries) if n not in replaced]
        self.entries = [*kept[:place], (platform, entry), *kept[place:]]


@dataclass(frozen=True)
class Said:
    """What is written of the platform of an image, instead of what it says itself; see `CreateIndexRequest`."""

    platform: PlatformMessage
    os_version: str = ""
    os_features: Sequence[str] = ()


class Indexer:
    """Makes indexes.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where documents are.
        leases: What work under way needs.
        records: Where an index is written down.
        registries: Where manifests are that are not here.
    """

    def __init__(
        self,
        settings: ImageSection,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        records: Records,
        registries: Registries,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._records = records
        self._registries = registries

    async def create(
        self,
        reference: Reference,
        sources: Sequence[Reference],
        credentials: Credentials,
        *,
        amend: bool,
        said: Said | None = None,
    ) -> str:
        """Make an index and give it a reference; return its digest.

        Args:
            reference: For the index.
            sources: Images, or indexes, which give all of their entries.
            credentials: For the sources' registries.
            amend: Add to the index that has the reference, in place of the same platforms.
            said: What is written of the one source, an image; None means what it says itself.

        Raises:
            NameInUse: The reference means something, and not `amend`; or it means no index.
            InvalidReference, InvalidArgument: It has a digest; two sources are for one platform.
            ManifestNotFound, InvalidManifest, RegistryDenied, RegistryRateLimited,
                RegistryUnavailable: See these classes.
        """
        if reference.digest:
            raise InvalidReference(
                f"{reference} has a digest",
                what="reference",
                which=str(reference),
                do="give NAME[:TAG]: the digest comes with the index",
            )
        added = _Draft()
        for source in sources:
            await self._add_source(added, source, credentials)
        if said is not None:
            _say(added, said)
        draft = self._known(reference, amend)
        for known, entry in added.entries:
            draft.add(known, entry)
        draft.documents |= added.documents
        draft.origins |= added.origins
        index = self._document(draft)
        await self._record(reference, draft, index)
        return index.digest

    def _known(self, reference: Reference, amend: bool) -> _Draft:
        """Return what is there under a reference."""
        known = self._rows.name(str(reference))
        if known is None:
            return _Draft()
        document = self._here(known.manifest)
        if not amend or document is None or not document.is_index:
            raise NameInUse(
                f"{reference} is there already",
                what="reference",
                which=str(reference),
                do="amend it when it is an index, remove it, or choose another name",
            )
        draft = _Draft(list(_entries(document)))
        for row in manifests_below(self._rows, document.digest):
            below = self._here(row.digest)
            if below is not None and below.digest != document.digest:
                draft.documents[below.digest] = below
        return draft

    async def _add_source(self, draft: _Draft, source: Reference, credentials: Credentials) -> None:
        known = self._rows.name(str(source))
        digest = known.manifest if known is not None else source.digest
        registry = self._registries.pulling(source, credentials)
        resolver = Resolver(registry, str(source), self._settings)
        local = self._here(digest) if digest else None
        top = local or await resolver.top(source.target)
        repository = next(iter(self._rows.repositories_of(top.digest)), source.repository)
        for document in await resolver.everything(top, self._here):
            draft.documents[document.digest] = document
            here = all(self._rows.blob_size(part.digest) is not None for part in document.parts)
            if not here and not document.is_index:
                draft.origins[document.digest] = repository
        added = _entries(top) if top.is_index else [await self._entry(registry, top)]
        for platform, entry in added:
            taken = {known for known, _ in draft.entries if known is not None}
            if platform in taken:
                raise InvalidArgument(
                    f"{source} is not the only one for {platform}",
                    what="manifest",
                    which=str(source),
                    do="give one image for each platform",
                )
            draft.add(platform, entry)

    def _here(self, digest: str) -> Document | None:
        """Return a document that is here."""
        row = self._rows.manifest(digest)
        if row is None:
            return None
        try:
            data = self._blobs.read(digest)
        except FileNotFoundError:
            return None
        return manifests.parse_document(data, row.media_type, self._settings.max_layers, digest)

    async def _entry(self, registry: Registry, document: Document) -> tuple[Platform | None, Entry]:
        """Return the entry of a manifest; the platform is that of its configuration."""
        entry: Entry = {
            "mediaType": document.media_type,
            "digest": document.digest,
            "size": len(document.data),
        }
        if not document.is_image:
            return None, entry
        config = document.parts[0]
        if self._rows.blob_size(config.digest) is not None:
            data = self._blobs.read(config.digest)
        else:
            data = await registry.small_blob(config, self._settings.max_config_bytes)
        about = manifests.parse_configuration(data)
        value = json.loads(data)
        entry["platform"] = {key: value[key] for key in _PLATFORM_KEYS if value.get(key)}
        return about.platform, entry

    def _document(self, draft: _Draft) -> Document:
        """Return the index; it is one of Docker's kind when all that it names is."""
        entries = [entry for _, entry in draft.entries]
        docker = all(entry.get("mediaType") == DOCKER_MANIFEST for entry in entries)
        kind = DOCKER_INDEX if docker else OCI_INDEX
        value = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
        data = json.dumps(value, indent=3).encode()
        return manifests.parse_document(data, kind, self._settings.max_layers)

    async def _record(self, reference: Reference, draft: _Draft, index: Document) -> None:
        documents = [*draft.documents.values(), index]
        parts = [part.digest for document in documents for part in document.parts]
        with self._leases.hold([index.digest, *draft.documents, *parts]):
            content = Content(
                documents=documents,
                origins=draft.origins,
                references=[str(reference)],
                facts={"name": str(reference)},
            )
            before = self._rows.name(str(reference))
            await self._records.put(content, "create")
        if before is not None and before.image is None and before.manifest != index.digest:
            # What it was pushed as held the index that is replaced.
            with self._rows.transaction() as tx:
                self._rows.drop_repo_digest(tx, f"{reference.repository}@{before.manifest}")


def _entries(index: Document) -> Iterable[tuple[Platform | None, Entry]]:
    """Return the entries of an index as they are written, with their platforms."""
    return zip(index.platforms, json.loads(index.data)["manifests"], strict=True)


def _say(draft: _Draft, said: Said) -> None:
    """Write another platform of the only image, as it is given."""
    platform = said.platform
    known = canonical(platform.os, platform.architecture, platform.variant)
    if len(draft.entries) != 1:
        raise InvalidArgument(
            f"{len(draft.entries)} images are to be for {known}",
            what="platform",
            which=str(known),
            do="give one image with a platform",
        )
    ((_, entry),) = draft.entries
    about = {
        "architecture": known.architecture,
        "os": known.os,
        "os.version": said.os_version,
        "os.features": list(said.os_features),
        "variant": platform.variant,
    }
    written = {key: value for key, value in about.items() if value}
    draft.entries = [(known, {**entry, "platform": written})]
