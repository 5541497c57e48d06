"""Imports: an image of one layer from a tar of a root file system, unpacked while it arrives."""

from __future__ import annotations

import asyncio
import bz2
import lzma
import os
from collections.abc import AsyncIterator, Callable
from io import BufferedIOBase
from pathlib import Path

from scow.api.image.v1 import image_pb2 as pb
from scow.core.times import now_ns
from scow.image import changes, manifests
from scow.image.blobs import Blobs, Ingest
from scow.image.digests import digest_of
from scow.image.layers import Layers
from scow.image.leases import Leases
from scow.image.manifests import Descriptor
from scow.image.platforms import Platform
from scow.image.records import Content, Records
from scow.image.reference import Reference
from scow.image.store import Layer
from scow.image.unpack.pool import Unpacked

_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_SUFFIXES = {"gzip": "+gzip", "zstd": "+zstd"}
# No layer's media type: such layers are kept plain.
_OPENERS: dict[str, Callable[[Path], BufferedIOBase]] = {
    "xz": lzma.LZMAFile,
    "bzip2": bz2.BZ2File,
}
_PIECE = 1 << 20


class Importer:
    """Makes images of tars."""

    def __init__(self, blobs: Blobs, layers: Layers, leases: Leases, records: Records) -> None:
        self._blobs = blobs
        self._layers = layers
        self._leases = leases
        self._records = records
        self.ingesting: set[str] = set()

    async def import_tar(
        self,
        opened: pb.ImportRequest.Open,
        reference: Reference | None,
        platform: Platform,
        chunks: AsyncIterator[bytes],
    ) -> str:
        """Make an image; return its id.

        Args:
            opened: Message and changes.
            reference: The new image's name, or None.
            platform: Of the programs in the tar.
            chunks: The tar, plain or compressed.

        Raises:
            InvalidArgument: A change that cannot be applied.
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: Nothing is left then.
        """
        config = pb.ImageConfig()
        changes.apply(config, opened.changes)
        name = f"import-{os.urandom(8).hex()}"
        self.ingesting |= {name, f"{name}-plain"}
        ingest = self._blobs.ingest(name)
        try:
            number, unpacked = await self._receive(ingest, chunks)
            if unpacked.compression in _OPENERS:
                ingest = await self._decompressed(ingest, number, unpacked.compression)
            with self._leases.hold([ingest.digest, unpacked.diff_id]):
                blob = Descriptor(ingest.digest, ingest.size, _media_type(unpacked))
                layer = await self._layers.keep(number, unpacked, ingest)
                return await self._record(opened, reference, platform, config, blob, layer)
        except BaseException:
            ingest.discard()
            raise
        finally:
            self.ingesting -= {name, f"{name}-plain"}

    async def _receive(self, ingest: Ingest, chunks: AsyncIterator[bytes]) -> tuple[int, Unpacked]:
        """Write the tar down while it is being unpacked."""
        unpacking = asyncio.create_task(self._layers.unpack(ingest))
        try:
            async for chunk in chunks:
                ingest.write(chunk)
                if unpacking.done():  # it failed: the rest need not come
                    break
                await asyncio.sleep(0)
            else:
                ingest.finish()
            return await unpacking
        except BaseException as error:
            ingest.fail(error)
            unpacking.cancel()
            await asyncio.wait([unpacking])
            if not unpacking.cancelled() and unpacking.exception() is None:
                await self._layers.discard(unpacking.result()[0])
            raise

    async def _decompressed(self, packed: Ingest, number: int, compression: str) -> Ingest:
        """Return the plain tar of one in a compression that layers must not have; the worker has read it before."""
        plain = self._blobs.ingest(f"{packed.path.name}-plain")
        try:
            await asyncio.to_thread(_copy, _OPENERS[compression], packed.path, plain)
        except BaseException:
            plain.discard()
            await self._layers.discard(number)
            raise
        packed.discard()
        return plain

    async def _record(
        self,
        opened: pb.ImportRequest.Open,
        reference: Reference | None,
        platform: Platform,
        config: pb.ImageConfig,
        blob: Descriptor,
        layer: Layer,
    ) -> str:
        created = now_ns()
        comment = opened.message or "imported"
        data = manifests.make_configuration(config, platform, [layer.diff_id], created, comment)
        described = Descriptor(digest_of(data), len(data), manifests.OCI_CONFIG)
        manifest = manifests.make_manifest(described, [blob])
        content = Content(
            documents=[manifests.parse_document(manifest, manifests.OCI_MANIFEST, 1)],
            configurations={described.digest: data},
            references=[str(reference)] if reference else [],
        )
        await self._records.put(content, "import")
        return described.digest


def _media_type(unpacked: Unpacked) -> str:
    return _LAYER_TYPE + _SUFFIXES.get(unpacked.compression, "")


def _copy(opener: Callable[[Path], BufferedIOBase], source: Path, target: Ingest) -> None:
    with opener(source) as stream:
        while data := stream.read(_PIECE):
            target.write(data)
