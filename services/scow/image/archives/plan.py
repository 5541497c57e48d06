"""What an archive is found to hold, checked, before anything of it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scow.contract.errors import DigestMismatch, InvalidManifest, LimitExceeded, PlatformNotFound
from scow.image.archives.archive import Archive, File, bad
from scow.image.content.digests import algorithm_of, digits_of
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Configuration, Descriptor, Document
from scow.image.oci.platforms import Platform, runnable
from scow.image.transfer.index import DOCUMENTS_MAX


@dataclass
class Top:
    """What a name of the archive stands for: documents as of `records.Content`, the last one at the top."""

    documents: list[Document]
    references: list[str] = field(default_factory=list)
    repo_digests: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """All that is to be kept.

    Attributes:
        tops: What names stand for.
        configurations: Of images, by digest.
        blobs: Files that become blobs, by digest.
        layers: Of the host's images: the blob of each layer, by diff id, and its file; None when the blob is here.
    """

    tops: list[Top] = field(default_factory=list)
    configurations: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, File] = field(default_factory=dict)
    layers: dict[str, tuple[str, File | None]] = field(default_factory=dict)

    def images(self, top: Top) -> list[str]:
        """Return the ids of the images that a top holds."""
        return [document.parts[0].digest for document in top.documents if document.is_image]

    def digests(self) -> set[str]:
        """Return all that is needed until everything is recorded."""
        parts = {
            part.digest
            for top in self.tops
            for document in top.documents
            for part in document.parts
        }
        documents = {document.digest for top in self.tops for document in top.documents}
        return parts | documents | {*self.blobs, *self.layers}


class Planner:
    """Adds images to a plan, each checked.

    Args:
        archive: What has arrived.
        rows: The tables.
        platform: The only platform whose images are wanted, or None.
        max_config_bytes: How large a configuration may be.
    """

    def __init__(
        self, archive: Archive, rows: ImageStore, platform: Platform | None, max_config_bytes: int
    ) -> None:
        self.plan = Plan()
        self._archive = archive
        self._rows = rows
        self._platform = platform
        self._max_config_bytes = max_config_bytes
        # Platforms of images that were not wanted.
        self._skipped: set[str] = set()
        self._read = 0

    def count(self) -> None:
        """Count a manifest, index or configuration that is about to be read.

        Raises:
            LimitExceeded: There are too many.
        """
        self._read += 1
        if self._read > DOCUMENTS_MAX:
            raise LimitExceeded(
                f"the archive has more than {DOCUMENTS_MAX} manifests",
                what="archive",
                which="manifests",
                do="load its images from several archives",
            )

    def configuration(self, name: str, file: File) -> Configuration:
        """Read an image's configuration, and plan to keep it."""
        data = self._archive.read(name, file, self._max_config_bytes, "max_config_bytes")
        config = manifests.parse_configuration(data)
        self.plan.configurations[file.digest] = data
        return config

    def wants(self, config: Configuration) -> bool:
        """Tell whether an image is of the wanted platform."""
        if self._platform is None or runnable(config.platform, self._platform):
            return True
        self.skip([config.platform])
        return False

    def skip(self, platforms: Iterable[Platform]) -> None:
        """Note platforms that the archive has, but that are not wanted."""
        self._skipped |= {str(platform) for platform in platforms}

    def image(self, document: Document, config: Configuration, files: list[File | None]) -> None:
        """Plan to keep an image's layers, and to unpack them when this machine runs it.

        Args:
            document: Its manifest.
            config: Its configuration.
            files: Of its layers; None for one whose blob is here.

        Raises:
            InvalidManifest: Configuration and manifest disagree.
        """
        _, *layers = document.parts
        if len(config.diff_ids) != len(layers):
            raise InvalidManifest(
                f"the manifest {document.digest} has {len(layers)} layers and {len(config.diff_ids)}"
                " digests of them",
                what="manifest",
                which=document.digest,
                do="tell who made the image",
            )
        for diff_id, layer, file in zip(config.diff_ids, layers, files, strict=True):
            if file is not None:
                self.plan.blobs[layer.digest] = file
            if runnable(config.platform):
                self.plan.layers.setdefault(diff_id, (layer.digest, file))

    def blob(self, part: Descriptor, wanted_by: str) -> File | None:
        """Return the file of a part in an OCI layout; None when it is here as a blob already.

        Raises:
            InvalidArchive: It is missing.
            DigestMismatch: It is not what its name says.
        """
        name = blob_name(part.digest)
        file = self._archive.find(name)
        if file is None:
            if self._rows.blob_size(part.digest) is None:
                bad(f"it is missing, but {wanted_by} names it", name)
            return None
        check(name, file, part)
        return file

    def finish(self) -> Plan:
        """Return the plan.

        Raises:
            InvalidArchive: The archive has no images.
            PlatformNotFound: It has, but none of the wanted platform.
        """
        if not self.plan.tops and self._platform is None:
            bad("it names no image", "manifest.json")
        if not self.plan.tops:
            have = ", ".join(sorted(self._skipped)) or "none"
            raise PlatformNotFound(
                f"the archive has no image for {self._platform}, only for {have}",
                what="platform",
                which=str(self._platform),
                do="choose one of these with --platform, or leave it out",
            )
        return self.plan


def blob_name(digest: str) -> str:
    """Return a blob's name in an OCI layout."""
    return f"blobs/{algorithm_of(digest)}/{digits_of(digest)}"


def check(name: str, file: File, part: Descriptor) -> None:
    """Compare a file with what names it.

    Raises:
        DigestMismatch: It has another digest or size.
    """
    if (file.digest, file.size) != (part.digest, part.size):
        raise DigestMismatch(
            f"{name} in the archive has the digest {file.digest} and {file.size} bytes instead of {part.size}",
            what="entry",
            which=name,
            do="make the archive again: this one is damaged",
        )
