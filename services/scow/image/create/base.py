"""The image that a new one lies on: its configuration and its layers, in OCI's words."""

from __future__ import annotations

from dataclasses import dataclass

from scow.contract.errors import ContentMissing
from scow.image.content.blobs import Blobs
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor

PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# Docker's names of layers, in OCI's words: a manifest is of one kind.
_OCI_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": GZIP_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": PLAIN_LAYER,
    "": GZIP_LAYER,
}


@dataclass(frozen=True)
class Base:
    """An image: its id, its configuration, byte for byte, and its layers as they were sent."""

    image: str
    data: bytes
    configuration: manifests.Configuration
    layers: tuple[Descriptor, ...]

    def digests(self) -> list[str]:
        """Return the digests of all that it needs."""
        return [
            self.image,
            *self.configuration.diff_ids,
            *(layer.digest for layer in self.layers),
        ]


def base_of(rows: ImageStore, blobs: Blobs, image: str) -> Base:
    """Return an image as a base.

    Args:
        rows: The tables.
        blobs: Where its documents are.
        image: Its id.

    Raises:
        ContentMissing: Its layers are not here as they were sent.
    """
    data = blobs.read(image)
    configuration = manifests.parse_configuration(data)
    count = len(configuration.diff_ids)
    for row in rows.manifests_of(image):
        layers = manifests.parse_manifest(blobs.read(row.digest), count).layers
        here = all(rows.blob_size(layer.digest) is not None for layer in layers)
        if here and len(layers) == count:
            return Base(image, data, configuration, tuple(map(_in_oci, layers)))
    raise ContentMissing(
        f"layers of image {image} are not here",
        what="image",
        which=image,
        do="pull or load it again",
    )


def _in_oci(layer: Descriptor) -> Descriptor:
    kind = _OCI_TYPES.get(layer.media_type, layer.media_type)
    return Descriptor(layer.digest, layer.size, kind)
