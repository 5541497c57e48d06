"""Commits: an image of an owner's snapshot, which is the snapshot's image and a layer of what was changed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from scow.api.image.v1 import archive_pb2 as pb
from scow.contract.errors import ContentMissing
from scow.core.times import now_ns
from scow.image.content.blobs import Blobs, Ingest
from scow.image.content.digests import digest_of
from scow.image.create import configuration as derive
from scow.image.gc.leases import Leases
from scow.image.layers.diff.differ import write_layer
from scow.image.layers.diff.written import Written
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import ImageStore, Snapshot
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor
from scow.image.oci.reference import Reference
from scow.image.snapshots.owners import Snapshots
from scow.words.dockerfile import changes

_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# Docker's names of layers, in OCI's words: a manifest is of one kind.
_OCI_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": _LAYER_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "": _LAYER_TYPE,
}
_log = structlog.get_logger()
# Called in the transaction that records an image, with its id.
Recorded = Callable[[sqlite3.Connection, str], None]


@dataclass(frozen=True)
class _Base:
    """The image that a snapshot lies on: its configuration, byte for byte, and its layers as they were sent."""

    image: str
    data: bytes
    configuration: manifests.Configuration
    layers: tuple[Descriptor, ...]

    def digests(self) -> list[str]:
        return [
            self.image,
            *self.configuration.diff_ids,
            *(layer.digest for layer in self.layers),
        ]


class Committer:
    """Makes images of snapshots."""

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        records: Records,
        snapshots: Snapshots,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._records = records
        self._snapshots = snapshots

    async def commit(
        self, request: pb.CommitRequest, reference: Reference | None, recorded: Recorded
    ) -> str:
        """Make an image; return its id. Its layer is made mountable when it is first needed.

        Args:
            request: What is committed, and what is said of it.
            reference: The new image's name, or None.
            recorded: Called in the transaction that records it.

        Raises:
            ImageNotFound: The owner has no snapshot.
            InvalidArgument: A change that cannot be applied.
            ContentMissing: The image's layers are not here.
            DiskFull, LimitExceeded, DataLoss: Nothing is left then.
        """
        snapshot = self._snapshots.find(request.owner)
        base = self._base(snapshot)
        config = base.configuration.config
        if request.HasField("config"):
            config = request.config
        changes.apply(config, request.changes)
        async with self._blobs.working("commit") as name:
            with (
                contextlib.closing(self._blobs.ingest(name)) as ingest,
                self._leases.hold(base.digests()),
            ):
                written = await write_layer(self._snapshots.changes(snapshot), ingest)
                self._snapshots.find(request.owner)  # a release meanwhile took files away
                with self._leases.hold([written.digest, written.diff_id]):
                    layer = await self._keep(written, ingest, base)
                    diff_id = written.diff_id if layer else None
                    data = derive.derive(base.data, config, _step(request), diff_id)
                    layers = [*base.layers, *([layer] if layer else [])]
                    return await self._record(data, layers, reference, recorded)

    def _base(self, snapshot: Snapshot) -> _Base:
        data = self._blobs.read(snapshot.image)
        configuration = manifests.parse_configuration(data)
        count = len(configuration.diff_ids)
        for row in self._rows.manifests_of(snapshot.image):
            layers = manifests.parse_manifest(self._blobs.read(row.digest), count).layers
            here = all(self._rows.blob_size(layer.digest) is not None for layer in layers)
            if here and len(layers) == count:
                return _Base(snapshot.image, data, configuration, tuple(map(_in_oci, layers)))
        raise ContentMissing(
            f"layers of image {snapshot.image} are not here",
            what="image",
            which=snapshot.image,
            do="pull or load it again",
        )

    async def _keep(self, written: Written, ingest: Ingest, base: _Base) -> Descriptor | None:
        """Make the layer a blob; a layer that changes nothing is kept only where there is no other."""
        if written.skipped:
            _log.warning("files that look like whiteouts are left out", count=written.skipped)
        if written.empty and base.layers:
            return None
        await self._blobs.commit(ingest)
        with self._rows.transaction() as tx:
            self._rows.insert_blob(tx, written.digest, written.size)
        return Descriptor(written.digest, written.size, _LAYER_TYPE)

    async def _record(
        self,
        data: bytes,
        layers: list[Descriptor],
        reference: Reference | None,
        recorded: Recorded,
    ) -> str:
        described = Descriptor(digest_of(data), len(data), manifests.OCI_CONFIG)
        manifest = manifests.make_manifest(described, layers)
        content = Content(
            documents=[manifests.parse_document(manifest, manifests.OCI_MANIFEST, len(layers))],
            configurations={described.digest: data},
            references=[str(reference)] if reference else [],
        )
        await self._records.put(
            content, "commit", lambda tx, image: recorded(tx, image or described.digest)
        )
        return described.digest


def _step(request: pb.CommitRequest) -> derive.Step:
    return derive.Step(now_ns(), request.created_by, request.author, request.message)


def _in_oci(layer: Descriptor) -> Descriptor:
    kind = _OCI_TYPES.get(layer.media_type, layer.media_type)
    return Descriptor(layer.digest, layer.size, kind)
