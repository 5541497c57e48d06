"""Commits: an image of an owner's snapshot, which is the snapshot's image and a layer of what was changed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable

import structlog

from scow.api.image.v1 import archive_pb2 as pb
from scow.core.times import now_ns
from scow.image.content.blobs import Blobs, Ingest
from scow.image.content.digests import digest_of
from scow.image.create import configuration as derive
from scow.image.create.base import GZIP_LAYER, Base, base_of
from scow.image.gc.leases import Leases
from scow.image.layers.diff.differ import write_layer
from scow.image.layers.diff.written import Written
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor
from scow.image.oci.reference import Reference
from scow.image.snapshots.owners import Snapshots
from scow.image.workers.pool import UnpackPool
from scow.words.dockerfile import changes

_log = structlog.get_logger()
# Called in the transaction that records an image, with its id.
Recorded = Callable[[sqlite3.Connection, str], None]


class Committer:
    """Makes images of snapshots."""

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        records: Records,
        snapshots: Snapshots,
        pool: UnpackPool,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._records = records
        self._snapshots = snapshots
        self._pool = pool

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
        base = base_of(self._rows, self._blobs, snapshot.image)
        config = base.configuration.config
        if request.HasField("config"):
            config = request.config
        changes.apply(config, request.changes)
        async with self._blobs.working("commit") as name:
            with (
                contextlib.closing(self._blobs.ingest(name)) as ingest,
                self._leases.hold(base.digests()),
            ):
                written = await write_layer(self._pool, self._snapshots.changes(snapshot), ingest)
                self._snapshots.find(request.owner)  # a release meanwhile took files away
                with self._leases.hold([written.digest, written.diff_id]):
                    layer = await self._keep(written, ingest, base)
                    diff_id = written.diff_id if layer else None
                    data = derive.derive(base.data, config, _step(request), diff_id)
                    layers = [*base.layers, *([layer] if layer else [])]
                    return await self._record(data, layers, reference, recorded)

    async def _keep(self, written: Written, ingest: Ingest, base: Base) -> Descriptor | None:
        """Make the layer a blob; a layer that changes nothing is kept only where there is no other."""
        if written.skipped:
            _log.warning("files that look like whiteouts are left out", count=written.skipped)
        if written.empty and base.layers:
            return None
        await self._blobs.commit(ingest)
        with self._rows.transaction() as tx:
            self._rows.insert_blob(tx, written.digest, written.size)
        return Descriptor(written.digest, written.size, GZIP_LAYER)

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
