"""Reading OCI layouts (image-spec, image-layout.md)."""

from __future__ import annotations

from typing import Any

from scow.contract.errors import InvalidManifest, InvalidReference
from scow.core.config import ImageSection
from scow.image.archives.archive import Archive, bad
from scow.image.archives.documents import parse_object
from scow.image.archives.plan import Planner, Top, blob_name
from scow.image.oci import manifests
from scow.image.oci.manifests import INDEXES, Descriptor, Document
from scow.image.oci.platforms import Platform, choose
from scow.image.oci.reference import Reference
from scow.image.transfer.index import DEPTH_MAX

INDEX = "index.json"
# What containerd and Docker call an image, and what the specification does.
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class OciLayout:
    """An archive's OCI layout.

    Args:
        archive: What has arrived.
        planner: Gets what is found.
        settings: Limits.
        platform: The only platform that is wanted, or None.
    """

    def __init__(
        self, archive: Archive, planner: Planner, settings: ImageSection, platform: Platform | None
    ) -> None:
        self._archive = archive
        self._planner = planner
        self._settings = settings
        self._platform = platform

    def read(self) -> None:
        """Plan to keep what the layout's index names.

        Raises:
            InvalidArchive, InvalidManifest, DigestMismatch, LimitExceeded: See these classes.
        """
        file = self._archive.need(INDEX, "an OCI layout")
        limit = self._settings.max_manifest_bytes
        index = parse_object(
            self._archive.read(INDEX, file, limit, "max_manifest_bytes"), INDEX, dict
        )
        entries = index.get("manifests")
        if not isinstance(entries, list):
            bad("it has no list of manifests", INDEX)
        tops: dict[str, Top] = {}
        for entry in entries:
            descriptor = manifests.parse_descriptor(entry, "manifest")
            top = tops.get(descriptor.digest) or self._top(descriptor)
            if top is None:
                continue
            if descriptor.digest not in tops:
                tops[descriptor.digest] = top
                self._planner.plan.tops.append(top)
            _name(top, entry)

    def _top(self, descriptor: Descriptor) -> Top | None:
        """Return what an entry of the layout's index stands for; None when its platform is not wanted."""
        document = self._document(descriptor, INDEX)
        if not document.is_index:
            return Top([document]) if self._manifest(document) else None
        documents = self._below(document, 0, set())
        if not any(found.is_image for found in documents):
            if self._platform is not None:
                return None
            bad("it names no image that is in the archive", blob_name(descriptor.digest))
        return Top(documents)

    def _below(self, index: Document, depth: int, seen: set[str]) -> list[Document]:
        """Return what is wanted of what an index names, each once, and at the end the index."""
        if depth >= DEPTH_MAX:
            raise InvalidManifest(
                f"the archive has indexes within indexes, more than {DEPTH_MAX} deep",
                what="index",
                which=index.digest,
                do="tell who made the image",
            )
        found: list[Document] = []
        for part in self._parts(index):
            if part.digest in seen:
                continue
            seen.add(part.digest)
            child = self._document(part, blob_name(index.digest))
            if child.is_index:
                found += self._below(child, depth + 1, seen)
            else:
                self._manifest(child, chosen=True)
                found.append(child)
        return [*found, index]

    def _parts(self, index: Document) -> list[Descriptor]:
        """Return which of its parts are wanted. Docker writes a whole index though only some parts are there."""
        there = [
            (part, platform)
            for part, platform in zip(index.parts, index.platforms, strict=True)
            if self._archive.find(blob_name(part.digest))
        ]
        if self._platform is None:
            return [part for part, _ in there]
        of_platforms = [(part, platform) for part, platform in there if platform is not None]
        best = choose([platform for _, platform in of_platforms], self._platform)
        if best is not None:
            return [of_platforms[best][0]]
        self._planner.skip(platform for _, platform in of_platforms)
        return [part for part, platform in there if platform is None and part.media_type in INDEXES]

    def _document(self, descriptor: Descriptor, wanted_by: str) -> Document:
        self._planner.count()
        name = blob_name(descriptor.digest)
        file = self._archive.need(name, wanted_by)
        self._planner.blob(descriptor, wanted_by)
        limit = self._settings.max_manifest_bytes
        data = self._archive.read(name, file, limit, "max_manifest_bytes")
        limit = self._settings.max_layers
        return manifests.parse_document(data, descriptor.media_type, limit, descriptor.digest)

    def _manifest(self, document: Document, *, chosen: bool = False) -> bool:
        """Plan to keep a manifest's parts; return False when its platform is not wanted."""
        name = blob_name(document.digest)
        files = [self._planner.blob(part, name) for part in document.parts]
        if not document.is_image:
            for part, file in zip(document.parts, files, strict=True):
                if file is not None:
                    self._planner.plan.blobs[part.digest] = file
            return True
        first = document.parts[0].digest
        config = self._planner.configuration(
            blob_name(first), self._archive.need(blob_name(first), name)
        )
        if not chosen and not self._planner.wants(config):
            return False
        self._planner.image(document, config, files[1:])
        return True


def _name(top: Top, entry: Any) -> None:
    """Give a top the name that its entry in the layout's index has; a name that is not a reference is dropped."""
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return
    for key in NAME_ANNOTATIONS:
        text = annotations.get(key)
        if not isinstance(text, str) or not text:
            continue
        try:
            reference = Reference.parse(text)
        except InvalidReference:
            continue
        known = top.repo_digests if reference.digest else top.references
        if str(reference) not in known and reference.digest in ("", top.documents[-1].digest):
            known.append(str(reference))
        return
