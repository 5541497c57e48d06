"""What is to be saved: names, and the documents that they stand for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scow.contract.errors import ContentMissing, ImageNotFound, InvalidReference
from scow.image.catalog.images import Images
from scow.image.content.blobs import Blobs
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Document, no_variant
from scow.image.oci.platforms import Platform, choose, host, runnable
from scow.image.oci.reference import Reference

_ALL = 1_000_000


@dataclass
class Chosen:
    """One document to be saved, with what is below it.

    Attributes:
        top: A manifest, or an index that is here whole.
        documents: All, the top at the end.
        image: The manifest of the image that it means on this machine.
        references: Its names in the archive.
    """

    top: Document
    documents: list[Document]
    image: Document
    references: list[str] = field(default_factory=list)


class Selector:
    """Finds what names stand for.

    Args:
        rows: The tables.
        blobs: Where documents are.
        images: Who knows images by their names.
    """

    def __init__(self, rows: ImageStore, blobs: Blobs, images: Images) -> None:
        self._rows = rows
        self._blobs = blobs
        self._images = images

    def select(self, names: Sequence[str], platform: Platform | None) -> list[Chosen]:
        """Return what names stand for, each document once.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference, PlatformNotFound: See these classes.
            ContentMissing: A part of an image is not here.
        """
        found: dict[str, Chosen] = {}
        for name in names:
            for digest, reference in self._expand(name):
                chosen = self._chosen(name, digest, platform)
                known = found.setdefault(chosen.top.digest, chosen)
                if reference and reference not in known.references:
                    known.references.append(reference)
        return list(found.values())

    def _expand(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the documents that a name stands for, and their references; a bare name means all its tags."""
        reference = None
        with contextlib.suppress(InvalidReference):
            reference = Reference.parse(name)
        if reference is not None and not reference.digest and not _has_tag(name):
            of_repository = [
                row
                for row in self._rows.all_names()
                if row.reference.rpartition(":")[0] == reference.repository
            ]
            if of_repository:
                yield from ((row.manifest, row.reference) for row in of_repository)
                return
        row = self._rows.name(str(reference)) if reference is not None else None
        if row is not None:
            yield row.manifest, row.reference
            return
        image = self._images.find(name)
        if reference is not None and reference.digest:
            yield reference.digest, ""
            return
        whole = [row for row in self._rows.manifests_of(image.id) if self._is_whole(row.digest)]
        if not whole:
            raise _missing(name, image.id)
        yield whole[0].digest, ""

    def _chosen(self, name: str, digest: str, platform: Platform | None) -> Chosen:
        top = self._document(name, digest)
        if not top.is_index:
            if platform is not None and not runnable(self._platform(name, top), platform):
                raise no_variant(name, platform, [self._platform(name, top)])
            self._check(name, top)
            return Chosen(top, [top], top)
        below = [*self._below(name, top)]
        found = [document for document in below if document.is_image]
        platforms = [self._platform(name, document) for document in found]
        best = choose(platforms, platform or host())
        if platform is not None and best is None:
            raise no_variant(name, platform, platforms)
        if not found:
            raise _missing(name, digest)
        image = found[best or 0]
        if platform is None and self._is_whole(digest):
            return Chosen(top, [*below, top], image)
        self._check(name, image)
        return Chosen(image, [image], image)

    def _below(self, name: str, index: Document) -> Iterator[Document]:
        """Yield the documents below an index that are here, children before what names them."""
        for part in index.parts:
            if self._rows.manifest(part.digest) is None:
                continue
            child = self._document(name, part.digest)
            if child.is_index:
                yield from self._below(name, child)
            yield child

    def _is_whole(self, digest: str) -> bool:
        """Tell whether all that a document names, and what that names, is here."""
        if self._rows.blob_size(digest) is None:
            return False
        if self._rows.manifest(digest) is None:
            return True
        return all(self._is_whole(part) for part in self._rows.parts(digest))

    def _document(self, name: str, digest: str) -> Document:
        row = self._rows.manifest(digest)
        if row is None:
            raise _missing(name, digest)
        try:
            data = self._blobs.read(digest)
        except FileNotFoundError:
            raise _missing(name, digest) from None
        return manifests.parse_document(data, row.media_type, _ALL, digest)

    def _platform(self, name: str, document: Document) -> Platform:
        if not document.is_image:
            raise ImageNotFound(
                f"{name} is not an image but {document.artifact_type or 'something else'}",
                what="image",
                which=name,
                do="name an image",
            )
        image = self._rows.image(document.parts[0].digest)
        if image is None:
            raise _missing(name, document.parts[0].digest)
        return manifests.parse_configuration(self._blobs.read(image.id)).platform

    def _check(self, name: str, document: Document) -> None:
        for part in document.parts:
            if self._rows.blob_size(part.digest) is None:
                raise _missing(name, part.digest)


def _has_tag(name: str) -> bool:
    return ":" in name.rpartition("/")[2]


def _missing(name: str, digest: str) -> ContentMissing:
    return ContentMissing(
        f"{digest}, a part of {name}, is not here",
        what="blob",
        which=digest,
        do="pull or load the image again",
    )
