"""Indexes of images with what is said about them, made and read.

A manifest of attestations stands in the index beside the image's, for no platform, with annotations that tell whose it
is. Its layers are in-toto statements.
https://docs.docker.com/build/metadata/attestations/attestation-storage/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scow.api.image.v1 import layer_pb2 as pb
from scow.contract import strict_json
from scow.contract.errors import ContentMissing
from scow.core.config import ImageSection
from scow.image.catalog.images import Images, manifests_below
from scow.image.content.blobs import Blobs
from scow.image.content.digests import digest_of
from scow.image.gc.leases import Leases
from scow.image.metadata.records import Content, Recorded, Records
from scow.image.metadata.tables import Image, ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Document
from scow.image.oci.reference import Reference

_KIND = "vnd.docker.reference.type"
_SUBJECT = "vnd.docker.reference.digest"
_ATTESTATION = "attestation-manifest"
_PREDICATE = "in-toto.io/predicate-type"
_STATEMENT_MAX = 64 << 20


class AttestedImages:
    """Makes and reads them.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where documents are.
        leases: What work under way needs.
        records: Where an index is written down.
        images: Who finds images.
    """

    def __init__(
        self,
        settings: ImageSection,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        records: Records,
        images: Images,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._records = records
        self._images = images

    async def make(
        self, request: pb.MakeIndexRequest, references: Sequence[Reference], recorded: Recorded
    ) -> str:
        """Record an index; return the id of the image that it means.

        Raises:
            InvalidManifest: A document is none.
            ContentMissing: Something that is named is neither here nor given.
        """
        most = self._settings.max_layers
        index = manifests.parse_document(request.index, manifests.OCI_INDEX, most)
        given = [
            manifests.parse_document(data, manifests.OCI_MANIFEST, most)
            for data in request.manifests
        ]
        blobs = {digest_of(data): data for data in request.blobs}
        held = [part.digest for document in (index, *given) for part in document.parts]
        with self._leases.hold(held):
            known = {document.digest for document in given} | blobs.keys()
            documents = [*self._named(index, known), *given, index]
            for document in given:
                self._check_here(document, known)
            content = Content(
                documents=documents,
                blobs=blobs,
                references=[str(reference) for reference in references],
            )
            image = await self._records.put(content, "build", recorded)
        if image is None:
            raise _missing(index.digest)
        return image

    def manifest(self, digest: str) -> bytes:
        """Return a manifest or index.

        Raises:
            ContentMissing: It is not here.
        """
        if self._rows.manifest(digest) is None:
            raise _missing(digest)
        return self._blobs.read(digest)

    def _named(self, index: Document, known: set[str]) -> list[Document]:
        """Return the manifests that an index names and that are here."""
        found = []
        for part in index.parts:
            if part.digest in known:
                continue
            row = self._rows.manifest(part.digest)
            if row is None:
                raise _missing(part.digest)
            data = self._blobs.read(part.digest)
            most = self._settings.max_layers
            found.append(manifests.parse_document(data, row.media_type, most))
        return found

    def _check_here(self, document: Document, known: set[str]) -> None:
        for part in document.parts:
            if part.digest not in known and self._rows.blob_size(part.digest) is None:
                raise _missing(part.digest)

    def read(self, name: str, image: Image) -> list[pb.Attestation]:
        """Return what is said about an image, by the index that a name means.

        Args:
            name: As it was asked for.
            image: What it means.
        """
        top = self._rows.manifest(self._images.meaning(name, image))
        if top is None or top.media_type not in manifests.INDEXES:
            return []
        below = manifests_below(self._rows, top.digest)
        own = {row.digest for row in below if row.image == image.id}
        found = []
        for entry in self._load(top.digest).get("manifests", ()):
            about = _mapping(entry, "annotations")
            if about.get(_KIND) == _ATTESTATION and about.get(_SUBJECT) in own:
                found += self._statements(str(entry.get("digest")))
        return found

    def _statements(self, digest: str) -> list[pb.Attestation]:
        if self._rows.manifest(digest) is None:
            return []  # it was not pulled
        found = []
        for layer in self._load(digest).get("layers", ()):
            kind = _mapping(layer, "annotations").get(_PREDICATE)
            part = str(layer.get("digest"))
            size = self._rows.blob_size(part)
            if not isinstance(kind, str) or size is None or size > _STATEMENT_MAX:
                continue
            found.append(pb.Attestation(predicate_type=kind, statement=self._blobs.read(part)))
        return found

    def _load(self, digest: str) -> dict[str, Any]:
        try:
            value = strict_json.loads(self._blobs.read(digest))
        except (ValueError, FileNotFoundError):
            return {}
        return value if isinstance(value, dict) else {}


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _missing(digest: str) -> ContentMissing:
    return ContentMissing(
        f"{digest} is not here", what="manifest", which=digest, do="make or pull it again"
    )
