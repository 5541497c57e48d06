"""Pushes: one flight for each reference; what a reference names goes up byte for byte, layers side by side.

Children go before the index that names them, blobs before the manifest that names them: a push that is cut leaves
nothing that could be pulled by half. Whatever it names is leased, so that collection lets it be.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from scow.api.image.v1 import registry_pb2
from scow.contract.errors import ContentMissing, ImageNotFound, ScowError
from scow.core.config import ImageSection
from scow.core.flights import Flights
from scow.core.journal import Journal
from scow.core.tasks import together
from scow.image.content.blobs import Blobs, lost
from scow.image.content.buffers import streaming
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor, Document
from scow.image.oci.platforms import Platform
from scow.image.oci.reference import Reference
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import ANONYMOUS, Credentials
from scow.image.registry_client.uploads import Uploads
from scow.image.transfer.fetch import Fetcher
from scow.image.transfer.index import DEPTH_MAX
from scow.image.transfer.progress import Phase, Progress, telling

# Repositories that are asked to give a blob.
_MOUNTS_MAX = 3
Key = tuple[str, Platform | None, Credentials]
Result = registry_pb2.PushResult


@dataclass(frozen=True)
class Plan:
    """What a push sends.

    Attributes:
        documents: Children before the indexes that name them; the last one is what the reference names.
        blobs: What manifests name, each once.
        told: Those of them whose progress is told: layers, not configurations.
    """

    documents: tuple[Document, ...]
    blobs: dict[str, Descriptor]
    told: frozenset[str]

    @property
    def digests(self) -> list[str]:
        """All of it."""
        return [*(document.digest for document in self.documents), *self.blobs]


class Pusher:
    """Pushes images.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where blobs are.
        leases: What work under way needs.
        journal: Where a push is noted.
        registries: Where images go.
        fetcher: Gets blobs of manifests that are here without them.
    """

    def __init__(
        self,
        settings: ImageSection,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        journal: Journal,
        registries: Registries,
        fetcher: Fetcher,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._journal = journal
        self._registries = registries
        self._fetcher = fetcher
        self._pushes: Flights[Key, Progress, Result] = Flights()
        self._slots = asyncio.Semaphore(settings.max_concurrent_uploads)

    async def push(
        self, reference: Reference, platform: Platform | None, credentials: Credentials
    ) -> AsyncIterator[registry_pb2.PushResponse]:
        """Push what a reference names: yield progress, then the result.

        Args:
            reference: Of an image or index that is here.
            platform: Of an index, only the image of this platform.
            credentials: For the registry.

        Raises:
            ImageNotFound, ContentMissing, PlatformNotFound, LayerCorrupt: It is not here, or not whole.
            RegistryDenied, RegistryRateLimited, RegistryUnavailable, RegistryRefused: See these classes.
        """

        async def work(progress: Progress) -> Result:
            return await self._push(reference, platform, credentials, progress)

        kind = registry_pb2.PushResponse
        key = (str(reference), platform, credentials)
        async with self._pushes.join(key, Progress, work) as flight:
            async for message in telling(flight.task, flight.state, kind):
                yield message
            yield kind(result=await flight.result())

    async def _push(
        self,
        reference: Reference,
        platform: Platform | None,
        credentials: Credentials,
        progress: Progress,
    ) -> Result:
        plan = self._plan(reference, platform)  # nothing else runs before the lease is taken
        with self._leases.hold(plan.digests):
            progress.resolve(str(reference))
            uploads = Uploads(self._registries.pushing(reference, credentials))
            with streaming():
                await self._send_all(uploads, reference, credentials, plan, progress)
            *children, top = plan.documents
            for child in children:
                await uploads.put_manifest(child.digest, child)
            await uploads.put_manifest(reference.tag or top.digest, top)
            self._record(reference, top.digest)
        return Result(
            reference=str(reference),
            digest=top.digest,
            size=len(top.data),
            media_type=top.media_type,
        )

    def _plan(self, reference: Reference, platform: Platform | None) -> Plan:
        digest = self._meaning(reference)
        top = self._document(digest, str(reference))
        if platform is not None and top.is_index:
            chosen = manifests.choose_manifest(top.data, platform, str(reference))
            top = self._document(chosen.digest, str(reference))
        documents: dict[str, Document] = {}
        self._collect(top, documents, str(reference), DEPTH_MAX)
        blobs = {
            part.digest: part
            for document in documents.values()
            if not document.is_index
            for part in document.parts
        }
        for part in list(blobs.values()):
            if self._rows.blob_size(part.digest) is None and not self._origins(part.digest):
                if not part.is_foreign:
                    raise _missing("blob", part.digest, str(reference))
                del blobs[part.digest]
        quiet = {document.parts[0].digest for document in documents.values() if document.is_image}
        return Plan(tuple(documents.values()), blobs, frozenset(blobs) - quiet)

    def _meaning(self, reference: Reference) -> str:
        """Return the digest of the document that a reference names."""
        known = self._rows.name(str(reference))
        if known is not None:
            return known.manifest
        if reference.digest and self._rows.manifest(reference.digest) is not None:
            return reference.digest
        raise ImageNotFound(
            f"there is no image {reference}",
            what="image",
            which=str(reference),
            do="tag one with this name first",
        )

    def _collect(
        self, document: Document, found: dict[str, Document], name: str, depth: int
    ) -> None:
        """Add a document to those found, its children first."""
        if document.digest in found:
            return
        if document.is_index:
            if depth == 0:
                raise _missing("index", document.digest, name)
            for part in document.parts:
                self._collect(self._document(part.digest, name), found, name, depth - 1)
        found[document.digest] = document

    def _document(self, digest: str, name: str) -> Document:
        row = self._rows.manifest(digest)
        if row is None:
            raise _missing("manifest", digest, name)
        try:
            data = self._blobs.read(digest)
        except FileNotFoundError:
            raise lost(digest) from None
        document = manifests.parse_document(data, row.media_type, self._settings.max_layers, digest)
        if document.digest != digest:
            raise lost(digest)
        return document

    async def _send_all(
        self,
        uploads: Uploads,
        reference: Reference,
        credentials: Credentials,
        plan: Plan,
        progress: Progress,
    ) -> None:
        """Send the blobs that are not there, side by side; the first failure ends all."""
        untold = Progress()
        for digest in plan.told:
            progress.set(digest, Phase.PHASE_WAITING, 0, plan.blobs[digest].size)
        await together(
            *(
                self._send(
                    uploads,
                    reference,
                    credentials,
                    blob,
                    progress if digest in plan.told else untold,
                )
                for digest, blob in plan.blobs.items()
            )
        )

    async def _send(
        self,
        uploads: Uploads,
        reference: Reference,
        credentials: Credentials,
        blob: Descriptor,
        progress: Progress,
    ) -> None:
        async with self._slots:
            if await uploads.exists(blob.digest):
                progress.set(blob.digest, Phase.PHASE_EXISTS, blob.size, blob.size)
                return
            for source in self._sources(blob.digest, reference):
                if await uploads.mount(blob.digest, source):
                    progress.set(blob.digest, Phase.PHASE_MOUNTED, blob.size, blob.size)
                    return

            def sent(position: int) -> None:
                progress.set(blob.digest, Phase.PHASE_UPLOADING, position, blob.size)

            sent(0)
            await self._get(blob, reference, credentials)
            await uploads.upload(blob, self._blobs.path(blob.digest), sent)
            progress.set(blob.digest, Phase.PHASE_DONE, blob.size, blob.size)

    async def _get(self, blob: Descriptor, reference: Reference, credentials: Credentials) -> None:
        """Fetch a blob of a manifest that is here alone; only the registry that is pushed to gets the credentials."""
        error: ScowError = _missing("blob", blob.digest, str(reference))
        for repository in self._origins(blob.digest):
            if self._rows.blob_size(blob.digest) is not None:
                return
            source = Reference.parse(f"{repository}@{blob.digest}")
            mine = credentials if source.domain == reference.domain else ANONYMOUS
            registry = self._registries.pulling(source, mine)
            try:
                await self._fetcher.fetch(registry, {}, [blob], Progress())
            except ScowError as problem:
                error = problem
        if self._rows.blob_size(blob.digest) is None:
            raise error

    def _origins(self, blob: str) -> list[str]:
        """Return the repositories that have a blob which need not be here."""
        return list(dict.fromkeys(_flat(map(self._rows.origins, self._rows.indexes_with(blob)))))

    def _sources(self, blob: str, reference: Reference) -> list[str]:
        """Return other repositories of the registry that are known to have a blob."""
        manifests_with = self._rows.indexes_with(blob)
        documents = [*manifests_with, *_flat(map(self._rows.indexes_with, manifests_with))]
        names = dict.fromkeys(_flat(map(self._rows.repositories_of, documents)))
        names |= dict.fromkeys(self._origins(blob))
        start = f"{reference.domain}/"
        paths = [name.removeprefix(start) for name in names if name.startswith(start)]
        return [path for path in paths if path != reference.path][:_MOUNTS_MAX]

    def _record(self, reference: Reference, digest: str) -> None:
        """Note that the registry has it. What was removed in the meantime needs no note."""
        row = self._rows.manifest(digest)
        if row is None:
            return
        name = self._rows.name(str(reference))
        image = row.image or (name.image if name is not None else None)
        with self._rows.transaction() as tx:
            self._rows.add_repo_digest(tx, f"{reference.repository}@{digest}", image)
            self._journal.append(tx, "image", image or digest, "push", {"name": str(reference)})


def _flat(lists: Iterable[list[str]]) -> list[str]:
    return [item for each in lists for item in each]


def _missing(what: str, digest: str, name: str) -> ContentMissing:
    return ContentMissing(
        f"the {what} {digest} of {name} is not here",
        what=what,
        which=digest,
        do="pull the image with all its platforms, or push one platform alone",
        image=name,
    )
