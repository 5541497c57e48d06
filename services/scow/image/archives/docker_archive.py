"""Reading Docker archives: `manifest.json` names configurations, layers and tags.

https://github.com/moby/docker-image-spec (v1.2, "Combined Image JSON + Filesystem Changeset Format")
"""

from __future__ import annotations

from typing import Any

from scow.contract.errors import DigestMismatch, InvalidReference
from scow.core.archive.read.faults import Fault
from scow.core.config import ImageSection
from scow.image.archives.archive import Archive, File, bad
from scow.image.archives.documents import parse_object
from scow.image.archives.names import clean
from scow.image.archives.plan import Planner, Top
from scow.image.content.blobs import Blobs
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Configuration, Descriptor, Document
from scow.image.oci.reference import Reference

MANIFEST = "manifest.json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_SUFFIXES = {"": "", "gzip": "+gzip", "zstd": "+zstd"}


class DockerArchive:
    """An archive's `manifest.json`.

    Args:
        archive: What has arrived.
        planner: Gets what is found.
        settings: Limits.
        rows: The tables.
        blobs: Where manifests of images that are here are read.
    """

    def __init__(
        self,
        archive: Archive,
        planner: Planner,
        settings: ImageSection,
        rows: ImageStore,
        blobs: Blobs,
    ) -> None:
        self._archive = archive
        self._planner = planner
        self._settings = settings
        self._rows = rows
        self._blobs = blobs

    def read(self) -> None:
        """Plan to keep what `manifest.json` names; images of the archive's OCI layout get its tags.

        Raises:
            InvalidArchive, InvalidManifest, DigestMismatch, LimitExceeded: See these classes.
        """
        file = self._archive.need(MANIFEST, "a Docker archive")
        limit = self._settings.max_manifest_bytes
        data = self._archive.read(MANIFEST, file, limit, "max_manifest_bytes")
        for entry in parse_object(data, MANIFEST, list):
            if not isinstance(entry, dict):
                bad("it has an entry that is not an object", MANIFEST)
            self._entry(entry)

    def _entry(self, entry: dict[str, Any]) -> None:
        self._planner.count()
        [name] = _names([entry.get("Config")], "Config")
        file = self._archive.need(name, MANIFEST)
        references = _references(entry.get("RepoTags"))
        plan = self._planner.plan
        top = next((top for top in plan.tops if file.digest in plan.images(top)), None)
        if top is None:
            config = self._planner.configuration(name, file)
            if not self._planner.wants(config):
                return
            top = Top([self._image(entry, file, config)])
            plan.tops.append(top)
        named = {reference for other in plan.tops for reference in other.references}
        top.references += [text for text in references if text not in named]

    def _image(self, entry: dict[str, Any], config_file: File, config: Configuration) -> Document:
        """Return an image's manifest: one that is here, or else a new one."""
        known = self._known(config_file.digest)
        if known is not None:
            self._planner.image(known, config, [None for _ in known.parts[1:]])
            return known
        names = _names(entry.get("Layers") or [], "Layers")
        if len(names) != len(config.diff_ids):
            bad(
                f"it names {len(names)} layers for {len(config.diff_ids)} digests of them", MANIFEST
            )
        files = [self._archive.need(name, MANIFEST) for name in names]
        layers = [_layer(*about) for about in zip(names, files, config.diff_ids, strict=True)]
        about = Descriptor(config_file.digest, config_file.size, manifests.OCI_CONFIG)
        data = manifests.make_manifest(about, layers)
        document = manifests.parse_document(data, manifests.OCI_MANIFEST, self._settings.max_layers)
        self._planner.image(document, config, list(files))
        return document

    def _known(self, image_id: str) -> Document | None:
        """Return a manifest of an image that is here whole: the archive's layers are needed no more."""
        for row in self._rows.manifests_of(image_id):
            parts = self._rows.parts(row.digest)
            if all(self._rows.blob_size(part) is not None for part in parts):
                data = self._blobs.read(row.digest)
                return manifests.parse_document(
                    data, row.media_type, self._settings.max_layers, row.digest
                )
        return None


def _layer(name: str, file: File, diff_id: str) -> Descriptor:
    """Describe a layer as it is in the archive."""
    compression = file.compression()
    if compression not in _SUFFIXES:
        bad(f"it is compressed with {compression}, which layers must not be", name)
    if not compression and file.digest != diff_id:
        raise DigestMismatch(
            f"{name} in the archive has the digest {file.digest} instead of {diff_id}",
            what="entry",
            which=name,
            do="make the archive again: this one is damaged",
        )
    return Descriptor(file.digest, file.size, _LAYER + _SUFFIXES[compression])


def _names(values: Any, what: str) -> list[str]:
    """Return names of entries as `manifest.json` gives them."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        bad(f"it has the {what} {values!r:.80}", MANIFEST)
    try:
        return [clean(value.encode()) for value in values]
    except (Fault, UnicodeEncodeError):
        bad(f"its {what} lead out of the archive", MANIFEST)


def _references(tags: Any) -> list[str]:
    """Return complete references of tags."""
    if tags is not None and not isinstance(tags, list):
        bad(f"it has the RepoTags {tags!r:.80}", MANIFEST)
    found = []
    for tag in tags or []:
        try:
            reference = Reference.parse(tag if isinstance(tag, str) else "")
        except InvalidReference:
            bad(f"it has the tag {tag!r:.80}", MANIFEST)
        if not reference.digest and str(reference) not in found:
            found.append(str(reference))
    return found
