"""Repairs: what is damaged is put aside, and made anew from where it can be had.

A damaged blob is moved to `quarantine/` and fetched from a repository that the images with it came from or were pushed
to. A damaged layer's folder is replaced by a fresh one: containers that are started from then on get that, while those
that run keep the old one, which is moved to `quarantine/` and stays until each container that was there before is gone.
What cannot be repaired is recorded, so that its images are shown as damaged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import structlog

from scow.contract.errors import DiskFull, ScowError
from scow.core.times import now_ns
from scow.image.content.blobs import Blobs
from scow.image.content.digests import matches
from scow.image.integrity.quarantine import Quarantine
from scow.image.layers.store import Fresh
from scow.image.metadata.tables import Fault, ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor
from scow.image.oci.reference import Reference

_MANY = 1 << 20
_log = structlog.get_logger()
FetchBlob = Callable[[Reference, Descriptor], Awaitable[None]]
FetchDocument = Callable[[Reference], Awaitable[bytes]]


class Repairer:
    """Repairs.

    Args:
        rows: The tables.
        blobs: Files of blobs.
        quarantine: Where damaged things go.
        fetch_blob: Gets a blob of a repository and records it.
        fetch_document: Gets a manifest by a digest reference.
    """

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        quarantine: Quarantine,
        fetch_blob: FetchBlob,
        fetch_document: FetchDocument,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._quarantine = quarantine
        self._fetch_blob = fetch_blob
        self._fetch_document = fetch_document

    def clear(self, kind: str, digest: str) -> None:
        """Forget that something was damaged."""
        if any((fault.kind, fault.digest) == (kind, digest) for fault in self._rows.faults()):
            with self._rows.transaction() as tx:
                self._rows.clear_fault(tx, kind, digest)

    async def blob(self, digest: str, size: int, fault: str, detail: str) -> tuple[str, bool]:
        """Put a damaged blob aside and fetch it again; return what was done, and whether all is right now.

        Raises:
            DiskFull: There is no room for it.
        """
        is_document = self._rows.manifest(digest) is not None
        there = self._quarantine.take_blob(digest, self._blobs.path(digest))
        with self._rows.transaction() as tx:
            if not is_document:  # so that whoever needs it fetches it
                self._rows.delete_blob(tx, digest)
            self._rows.set_fault(tx, Fault("blob", digest, fault, detail, now_ns()))
        for repository in self._repositories(digest):
            try:
                await self._fetch(Reference.parse(f"{repository}@{digest}"), size, is_document)
            except DiskFull:
                raise
            except ScowError as error:
                _log.info("not fetched", digest=digest, repository=repository, error=str(error))
            else:
                self.clear("blob", digest)
                return "fetched", True
        return "quarantined" if there else "", False

    async def _fetch(self, reference: Reference, size: int, is_document: bool) -> None:
        digest = reference.digest
        if is_document:
            await self._blobs.write(await self._fetch_document(reference))
        else:
            await self._fetch_blob(reference, self._descriptor(digest, size))

    def _descriptor(self, digest: str, size: int) -> Descriptor:
        """Return what a manifest that is whole says about a blob."""
        for row in self._rows.indexes_with(digest):
            data = self._read(row)
            if data is None:
                continue
            for part in manifests.parse_document(data, "", _MANY).parts:
                if part.digest == digest:
                    return part
        return Descriptor(digest, size)

    def _read(self, digest: str) -> bytes | None:
        try:
            data = self._blobs.read(digest)
        except OSError:
            return None
        return data if matches(data, digest) else None

    def _repositories(self, digest: str) -> list[str]:
        """Return the repositories that should have something: those of the documents that lead to it."""
        found: dict[str, None] = {}
        seen, pending = set(), [digest]
        while pending:
            each = pending.pop()
            if each in seen:
                continue
            seen.add(each)
            found.update(dict.fromkeys(self._rows.repositories_of(each)))
            found.update(dict.fromkeys(self._named_repositories(each)))
            pending += self._rows.indexes_with(each)
        return list(found)

    def _named_repositories(self, digest: str) -> Iterator[str]:
        for name in self._rows.names_meaning(digest):
            yield Reference.parse(name).repository

    async def layer(self, fresh: Fresh) -> str:
        """Let a fresh layer take the place of a damaged one; return what was done."""
        await fresh.adopt(self._quarantine.layer_path(fresh.layer.diff_id))
        self.clear("layer", fresh.layer.diff_id)
        return "rebuilt"
