"""Layers made one by one, and images made of them.

Each layer that is made comes with a lease of its own: whoever asked for it may die, and the layer then goes when the
lease ends. One whose lease is not yet recorded is held in memory: it goes when this service dies.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence

from scow.api.image.v1 import layer_pb2 as pb
from scow.contract.errors import ContentMissing, InvalidArgument, InvalidManifest
from scow.core.requests import remember
from scow.core.tasks import together
from scow.core.times import from_proto
from scow.image.catalog.images import Images
from scow.image.content.blobs import Blobs, Ingest, open_blob
from scow.image.content.digests import digest_of
from scow.image.create.base import GZIP_LAYER, PLAIN_LAYER, Base, base_of
from scow.image.create.commit import Recorded
from scow.image.create.streamed_layers import unpack_streamed
from scow.image.gc.leases import KeptLeases, Leases
from scow.image.layers.diff.differ import write_layer
from scow.image.layers.store import Layers
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor
from scow.image.oci.platforms import Platform
from scow.image.oci.reference import Reference
from scow.image.snapshots.owners import Snapshots
from scow.image.stacks.reader import check_stack
from scow.image.workers.pool import UnpackPool

_COMPRESSED = {"gzip": GZIP_LAYER, "zstd": f"{PLAIN_LAYER}+zstd"}


class LayerMaker:
    """Makes layers, and images of them.

    Args:
        rows: The tables.
        blobs: Where blobs go.
        leases: What work under way needs.
        layers: Who unpacks.
        records: Who records images.
        images: Who finds them.
        snapshots: What is committed.
        pool: Who reads snapshots.
    """

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        layers: Layers,
        records: Records,
        images: Images,
        snapshots: Snapshots,
        pool: UnpackPool,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._layers = layers
        self._records = records
        self._images = images
        self._snapshots = snapshots
        self._pool = pool
        self._kept = KeptLeases(rows)

    def stack(self, name: str, platform: Platform | None) -> pb.GetStackResponse:
        """Return an image and its layers.

        Raises:
            ImageNotFound, PlatformNotFound: There is no such image.
            ContentMissing: Its layers are not here.
        """
        find_for = self._images.find_for
        image = find_for(name, platform) if platform else self._images.find(name)
        base = base_of(self._rows, self._blobs, image.id)
        return pb.GetStackResponse(
            image=self._images.describe(image), layers=_messages(base), configuration=base.data
        )

    async def write(
        self, opened: pb.WriteLayerRequest.Open, chunks: AsyncIterator[bytes]
    ) -> pb.WriteLayerResponse:
        """Make a layer of a plain tar.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: Nothing is left then.
        """
        async with self._blobs.working("layer") as name:
            with contextlib.closing(self._blobs.ingest(name)) as ingest:

                async def writing() -> None:
                    async for chunk in chunks:
                        ingest.write(chunk)

                number, unpacked = await unpack_streamed(self._layers, ingest, writing())
                if unpacked.compression:
                    await self._layers.discard(number)
                    raise InvalidArgument(
                        f"a layer that is compressed with {unpacked.compression}",
                        what="layer",
                        do="send the plain tar",
                    )
                layer = _plain(unpacked.diff_id, ingest.size)
                with self._leases.hold([layer.digest]):
                    await self._layers.keep(number, unpacked, ingest)
                    with self._rows.transaction() as tx:
                        lease = self._kept.insert(
                            tx, [layer.digest], opened.ttl_seconds, opened.labels
                        )
        return pb.WriteLayerResponse(layer=layer, lease=lease)

    async def commit(self, request: pb.CommitLayerRequest) -> pb.CommitLayerResponse:
        """Make a layer of what an owner changed.

        Raises:
            ImageNotFound: The owner has no snapshot.
            DiskFull, LimitExceeded, DataLoss: Nothing is left then.
        """
        snapshot = self._snapshots.find(request.owner)
        async with self._blobs.working("layer") as name:
            with contextlib.closing(self._blobs.ingest(name)) as ingest:
                changes = self._snapshots.changes(snapshot)
                latest = from_proto(request.latest) if request.HasField("latest") else None
                points = [path.strip(b"/") for path in request.mount_points]
                written = await write_layer(
                    self._pool,
                    changes,
                    ingest,
                    compress=False,
                    mount_points=points,
                    latest_ns=latest,
                )
                self._snapshots.find(request.owner)  # a release meanwhile took files away
                if written.empty:
                    return pb.CommitLayerResponse()
                return await self._keep(request, _plain(written.diff_id, written.size), ingest)

    async def _keep(
        self, request: pb.CommitLayerRequest, layer: pb.Layer, ingest: Ingest
    ) -> pb.CommitLayerResponse:
        with self._leases.hold([layer.digest]):
            await self._blobs.commit(ingest)
            with self._rows.transaction() as tx:
                self._rows.insert_blob(tx, layer.digest, layer.size)
                lease = self._kept.insert(tx, [layer.digest], request.ttl_seconds, request.labels)
                response = pb.CommitLayerResponse(layer=layer, lease=lease)
                remember(tx, response)
            return response

    def find(self, diff_ids: Sequence[str]) -> list[str]:
        """Return which layers are here."""
        return [
            diff_id
            for diff_id in diff_ids
            if self._rows.layer(diff_id) or self._rows.blob_size(diff_id) is not None
        ]

    async def make_image(
        self, request: pb.MakeImageRequest, references: Sequence[Reference], recorded: Recorded
    ) -> str:
        """Record an image; return its id.

        Raises:
            InvalidManifest: The configuration is none, or names other layers.
            ContentMissing: A layer is not here.
        """
        check_stack(request.layers)
        if request.compression not in ("", *_COMPRESSED):
            raise InvalidArgument(
                f"compression {request.compression!r}",
                what="compression",
                which=request.compression,
                do="use gzip or zstd, or none",
            )
        about = manifests.parse_configuration(request.configuration)
        if list(about.diff_ids) != [layer.diff_id for layer in request.layers]:
            raise InvalidManifest(
                "the configuration names other layers than the image has",
                what="configuration",
                do="let its rootfs name the layers",
            )
        held = [digest for layer in request.layers for digest in (layer.digest, layer.diff_id)]
        with self._leases.hold(held):
            self._check_here(request.layers)
            layers = await together(
                *(self._described(layer, request.compression) for layer in request.layers)
            )
            with self._leases.hold([layer.digest for layer in layers]):
                return await self._record(request, layers, references, recorded)

    async def _described(self, layer: pb.Layer, kind: str) -> Descriptor:
        """Return a layer as the manifest names it, compressed if it is plain and shall be."""
        if not kind or layer.media_type != PLAIN_LAYER:
            return Descriptor(layer.digest, layer.size, layer.media_type)
        known = self._rows.compressed(layer.digest, kind)
        digest, size = known or await self._compress(layer.digest, kind)
        return Descriptor(digest, size, _COMPRESSED[kind])

    async def _compress(self, plain: str, kind: str) -> tuple[str, int]:
        async with self._blobs.working("compressed") as name:
            with contextlib.closing(self._blobs.ingest(name)) as ingest:
                with open_blob(self._blobs.path(plain), plain) as source:
                    digest, size = await self._pool.compress(
                        source.descriptor, ingest.descriptor, kind, ingest.path
                    )
                ingest.claim(digest, size)
                with self._leases.hold([digest]):
                    await self._blobs.commit(ingest)
                    with self._rows.transaction() as tx:
                        self._rows.insert_blob(tx, digest, size)
                        self._rows.set_compressed(tx, plain, kind, digest)
        return digest, size

    def _check_here(self, layers: Sequence[pb.Layer]) -> None:
        for layer in layers:
            if self._rows.blob_size(layer.digest) is None:
                raise ContentMissing(
                    f"the layer {layer.digest} is not here",
                    what="layer",
                    which=layer.digest,
                    do="make or pull it again",
                )

    async def _record(
        self,
        request: pb.MakeImageRequest,
        layers: Sequence[Descriptor],
        references: Sequence[Reference],
        recorded: Recorded,
    ) -> str:
        data = request.configuration
        described = Descriptor(digest_of(data), len(data), manifests.OCI_CONFIG)
        manifest = manifests.make_manifest(described, layers, dict(request.annotations))
        content = Content(
            documents=[manifests.parse_document(manifest, manifests.OCI_MANIFEST, len(layers))],
            configurations={described.digest: data},
            references=[str(reference) for reference in references],
        )
        known = self._rows.image(described.digest) is not None
        transient = request.transient and (
            not known or described.digest in self._rows.transient_images()
        )

        def record(tx: sqlite3.Connection, image: str | None) -> None:
            self._rows.set_transient(tx, described.digest, transient)
            recorded(tx, described.digest)

        await self._records.put(content, "" if transient else "build", record)
        return described.digest


def _plain(diff_id: str, size: int) -> pb.Layer:
    return pb.Layer(diff_id=diff_id, digest=diff_id, size=size, media_type=PLAIN_LAYER)


def _messages(base: Base) -> list[pb.Layer]:
    pairs = zip(base.configuration.diff_ids, base.layers, strict=True)
    return [
        pb.Layer(diff_id=diff_id, digest=layer.digest, size=layer.size, media_type=layer.media_type)
        for diff_id, layer in pairs
    ]
