"""Layers for Docker archives: those that are compressed with zstd, which Docker before 23.0 does not read, go in plain.

The image stays what it is, for its id is that of its configuration; it gets another manifest in the archive.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scow.core.config import ImageSection
from scow.core.disk import writing
from scow.image.archives.selection import Chosen
from scow.image.content.blobs import Blobs, open_blob
from scow.image.oci import manifests
from scow.image.oci.manifests import OCI_MANIFEST, Descriptor, Document
from scow.image.workers.pool import UnpackPool, error_of

_ZSTD = "zstd"
_PLAIN = "application/vnd.oci.image.layer.v1.tar"
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


@dataclass
class Made:
    """What an archive has that is not a blob here, by digest.

    Attributes:
        documents: Manifests.
        layers: Files and their sizes.
    """

    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, tuple[Path, int]] = field(default_factory=dict)


class PlainLayers:
    """Makes plain layers.

    Args:
        settings: The service's section of the configuration.
        blobs: Where the layers are.
        pool: Who decompresses.
    """

    def __init__(self, settings: ImageSection, blobs: Blobs, pool: UnpackPool) -> None:
        self._settings = settings
        self._blobs = blobs
        self._pool = pool

    async def of(self, chosen: Sequence[Chosen], name: str) -> tuple[list[Chosen], Made]:
        """Return what is to be saved instead, and what was made for it.

        Args:
            chosen: What is to be saved.
            name: Of the ingests that are written: `<name>.<number>`.

        Raises:
            LayerCorrupt, LimitExceeded, DiskFull: See these classes.
        """
        made = Made()
        return [await self._one(one, name, made) for one in chosen], made

    async def _one(self, one: Chosen, name: str, made: Made) -> Chosen:
        config, *layers = one.image.parts
        if not any(layer.media_type.endswith(_ZSTD) for layer in layers):
            return one
        diff_ids = manifests.parse_configuration(self._blobs.read(config.digest)).diff_ids
        plain = [
            await self._layer(layer, diff_id, name, made)
            for layer, diff_id in zip(layers, diff_ids, strict=True)
        ]
        data = manifests.make_manifest(config, plain)
        document: Document = manifests.parse_document(data, OCI_MANIFEST, len(plain))
        made.documents[document.digest] = data
        return Chosen(document, [document], document, one.references)

    async def _layer(self, layer: Descriptor, diff_id: str, name: str, made: Made) -> Descriptor:
        if not layer.media_type.endswith(_ZSTD):
            return layer
        if diff_id not in made.layers:
            path = self._blobs.ingest_path(f"{name}.{len(made.layers)}")
            made.layers[diff_id] = (path, await self._expand(layer.digest, path))
        return Descriptor(diff_id, made.layers[diff_id][1], _PLAIN)

    async def _expand(self, digest: str, path: Path) -> int:
        """Decompress a blob to a file; return its size."""
        with writing(path.parent):
            target = os.open(path, _CREATE, 0o600)
        size = 0
        try:
            with open_blob(self._blobs.path(digest), digest) as source:
                async with self._pool.lend() as worker:
                    job = {"op": "expand", "max_bytes": self._settings.max_layer_bytes}
                    worker.start(job, [source.descriptor, target])
                    while "done" not in (message := await worker.receive()):
                        if "fault" in message:
                            raise error_of(**message["fault"], destination=path)
                        size = message["written"]
        finally:
            os.close(target)
        return size
