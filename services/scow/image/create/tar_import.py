"""Imports: an image of one layer from a tar of a root file system, unpacked while it arrives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from scow.api.image.v1 import image_pb2 as pb
from scow.core.archive.read.streams import compression
from scow.core.config import ImageSection
from scow.core.download import fetched, pieces
from scow.core.times import now_ns
from scow.image.archives.pipes import PipeWriter
from scow.image.content.blobs import Blobs, Ingest
from scow.image.content.digests import digest_of
from scow.image.create.streamed_layers import unpack_streamed
from scow.image.gc.leases import Leases
from scow.image.layers.store import Layers
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import Layer
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor
from scow.image.oci.platforms import Platform
from scow.image.oci.reference import Reference
from scow.image.workers.pool import Unpacked, UnpackPool, error_of
from scow.words.dockerfile import changes

_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_SUFFIXES = {"gzip": "+gzip", "zstd": "+zstd"}
# No layer's media type: such layers are kept plain.
_EXPANDED = ("xz", "bzip2")
# By so much of a tar its compression is told.
_START = 512


class Importer:
    """Makes images of tars.

    Args:
        settings: The service's section of the configuration.
        blobs: Where blobs go.
        layers: Who unpacks.
        leases: What work under way needs.
        records: Who records images.
        pool: Who decompresses.
    """

    def __init__(
        self,
        settings: ImageSection,
        blobs: Blobs,
        layers: Layers,
        leases: Leases,
        records: Records,
        pool: UnpackPool,
    ) -> None:
        self._settings = settings
        self._blobs = blobs
        self._layers = layers
        self._leases = leases
        self._records = records
        self._pool = pool

    async def import_tar(
        self,
        opened: pb.ImportRequest.Open,
        reference: Reference | None,
        platform: Platform,
        chunks: AsyncIterator[bytes],
    ) -> str:
        """Make an image; return its id.

        Args:
            opened: Message and changes, and where the tar is when it does not come in chunks.
            reference: The new image's name, or None.
            platform: Of the programs in the tar.
            chunks: The tar, plain or compressed.

        Raises:
            InvalidArgument: A change that cannot be applied, or a URL that is none.
            SourceUnavailable: The URL cannot be fetched.
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: Nothing is left then.
        """
        config = pb.ImageConfig()
        changes.apply(config, opened.changes)
        if opened.url:
            chunks = self._download(opened.url)
        async with self._blobs.working("import") as name:
            with contextlib.closing(self._blobs.ingest(name)) as ingest:
                number, unpacked = await self._receive(ingest, chunks)
                with self._leases.hold([ingest.digest, unpacked.diff_id]):
                    blob = Descriptor(ingest.digest, ingest.size, _media_type(unpacked))
                    layer = await self._layers.keep(number, unpacked, ingest)
                    return await self._record(opened, reference, platform, config, blob, layer)

    async def _download(self, url: str) -> AsyncIterator[bytes]:
        limit = self._settings.max_layer_bytes
        do = f"raise image.max_layer_bytes, which is {limit}"
        connect, stall = self._settings.connect_seconds, self._settings.stall_seconds
        async with fetched(url, connect_seconds=connect, stall_seconds=stall) as response:
            async for piece in pieces(response, url, limit, do):
                yield piece

    async def _receive(self, ingest: Ingest, chunks: AsyncIterator[bytes]) -> tuple[int, Unpacked]:
        """Write the tar down while it is being unpacked."""
        start, rest = await _peek(chunks)
        if compression(start) not in _EXPANDED:
            return await unpack_streamed(self._layers, ingest, _write(ingest, rest))
        number, unpacked = await unpack_streamed(self._layers, ingest, self._expand(ingest, rest))
        ingest.claim(unpacked.diff_id, unpacked.tar_size)  # what was read is the plain tar
        return number, unpacked

    async def _expand(self, ingest: Ingest, chunks: AsyncIterator[bytes]) -> None:
        """Let a worker write the ingest: the plain tar."""
        pipe = PipeWriter()
        try:
            async with self._pool.lend(slot=False) as worker:
                job = {"op": "expand", "max_bytes": self._settings.max_layer_bytes}
                worker.start(job, [pipe.reader, ingest.descriptor])
                pipe.passed()
                feeding = asyncio.create_task(pipe.feed(chunks))
                try:
                    while "done" not in (message := await worker.receive()):
                        if "fault" in message:
                            if feeding.done():
                                feeding.result()  # who sends has failed: a cut tar follows from it
                            raise error_of(**message["fault"], destination=ingest.path)
                        ingest.grown(message["written"])
                    await feeding
                finally:
                    feeding.cancel()
                    await asyncio.wait([feeding])
        finally:
            pipe.close()

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
        comment = opened.message or (f"Imported from {opened.url}" if opened.url else "imported")
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


async def _write(ingest: Ingest, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        ingest.write(chunk)
        await asyncio.sleep(0)


async def _peek(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Return the first bytes, and all of them again."""
    start = b""
    while len(start) < _START and (chunk := await anext(chunks, None)) is not None:
        start += chunk

    async def all_of_them() -> AsyncIterator[bytes]:
        yield start
        async for chunk in chunks:
            yield chunk

    return start, all_of_them()
