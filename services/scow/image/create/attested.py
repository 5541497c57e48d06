"""Indexes of images with what is said about them, made and read.

A manifest of attestations stands in the index beside the image's, for no platform, with annotations that tell whose it
is. Its layers are in-toto statements.
https://docs.docker.com/build/metadata/attestations/attestation-storage/
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from scow.api.image.v1 import layer_pb2 as pb
from scow.contract import strict_json
from scow.contract.errors import ContentMissing, LimitExceeded
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
# Bytes of all statements of an answer: half of what a message may have.
_STATEMENTS_MAX = 32 << 20


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
            found.append(manifests.parse_document(data, row.media_type, most, part.digest))
        return found

    def _check_here(self, document: Document, known: set[str]) -> None:
        for part in document.parts:
            if part.digest not in known and self._rows.blob_size(part.digest) is None:
                raise _missing(part.digest)

    async def read(self, name: str, image: Image) -> list[pb.Attestation]:
        """Return what is said about an image, by the index that a name means; each statement once.

        Args:
            name: As it was asked for.
            image: What it means.

        Raises:
            LimitExceeded: The statements together are longer than an answer may be.
        """
        top = self._rows.manifest(self._images.meaning(name, image))
        if top is None or top.media_type not in manifests.INDEXES:
            return []
        below = manifests_below(self._rows, top.digest)
        own = {row.digest for row in below if row.image == image.id}
        kinds: dict[str, str] = {}
        for digest in _attestations(await self._load(top.digest), own):
            if self._rows.manifest(digest) is not None:  # else it was not pulled
                kinds |= _statements(await self._load(digest))
        with self._leases.hold(list(kinds)):
            here = self._checked(kinds)
            statements = await asyncio.to_thread(lambda: [self._blobs.read(part) for part in here])
        return [
            pb.Attestation(predicate_type=kinds[part], statement=statement)
            for part, statement in zip(here, statements, strict=True)
        ]

    def _checked(self, parts: Iterable[str]) -> list[str]:
        """Return those of the statements that are here."""
        sizes = {part: self._rows.blob_size(part) for part in parts}
        if sum(size or 0 for size in sizes.values()) > _STATEMENTS_MAX:
            raise LimitExceeded(
                f"what is said about the image has more than {_STATEMENTS_MAX >> 20} MiB",
                what="attestations",
                do="push or save the image, and read them with another tool",
            )
        return [part for part, size in sizes.items() if size is not None]

    async def _load(self, digest: str) -> dict[str, Any]:
        try:
            value = await asyncio.to_thread(lambda: strict_json.loads(self._blobs.read(digest)))
        except (ValueError, FileNotFoundError):
            return {}
        return value if isinstance(value, dict) else {}


def _attestations(index: Mapping[str, Any], own: Collection[str]) -> list[str]:
    """Return the manifests of an index that say something about one of its own, each once."""
    found = []
    for entry in _list(index, "manifests"):
        about = _mapping(entry, "annotations")
        if about.get(_KIND) == _ATTESTATION and about.get(_SUBJECT) in own:
            found.append(str(entry.get("digest")))
    return list(dict.fromkeys(found))


def _statements(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the statements of a manifest with the types of what they say."""
    found: dict[str, str] = {}
    for layer in _list(manifest, "layers"):
        kind = _mapping(layer, "annotations").get(_PREDICATE)
        if isinstance(kind, str):
            found[str(layer.get("digest"))] = kind
    return found


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _missing(digest: str) -> ContentMissing:
    return ContentMissing(
        f"{digest} is not here", what="manifest", which=digest, do="make or pull it again"
    )
