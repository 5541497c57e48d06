"""Uploads: a file ingest/upload-ID and a lease "upload/ID" each, so that one goes on after a restart.

A row comes before its file and goes before it: a file without one is a leftover.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from scow.image.content.blobs import Blobs, Ingest
from scow.image.content.digests import SHA256, algorithm_of
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import ImageStore
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.repositories import Repositories

_PREFIX = "upload-"
# Uploads that are begun and not finished.
_MOST = 1000
# Seconds after which an upload that nobody goes on with gives its file's descriptor back.
_IDLE_SECONDS = 60.0


@dataclass
class Upload:
    """An upload under way; the ingest is there while its lock is held."""

    ident: str
    repository: str
    algorithm: str = SHA256
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opened: Ingest | None = None
    used: float = 0.0
    gone: bool = False

    @property
    def ingest(self) -> Ingest:
        """The file."""
        assert self.opened is not None
        return self.opened


class Uploads:
    """All uploads.

    Args:
        rows: The tables.
        blobs: Where finished ones go.
        leases: What work under way needs.
        repositories: Who has what.
    """

    def __init__(
        self, rows: ImageStore, blobs: Blobs, leases: Leases, repositories: Repositories
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._repositories = repositories
        self._uploads = {
            ident: Upload(ident, labels["repository"], labels.get("algorithm", SHA256))
            for ident, labels in repositories.leases("upload").items()
        }
        # Also between the requests, when nobody has the file open.
        blobs.busy.update(_PREFIX + ident for ident in self._uploads)

    def begin(self, repository: str, algorithm: str) -> str:
        """Begin an upload; return its id.

        Args:
            repository: Where the blob goes.
            algorithm: Of its digest, as far as the client has told; with another one it is hashed again at the end.

        Raises:
            Refusal: TOOMANYREQUESTS.
        """
        if len(self._uploads) >= _MOST:
            raise Refusal("TOOMANYREQUESTS", f"{_MOST} uploads are under way")
        ident = secrets.token_hex(16)
        upload = Upload(ident, repository, algorithm)
        self.renew(upload)
        self._uploads[ident] = upload
        self._blobs.busy.add(_PREFIX + ident)
        return ident

    @contextlib.asynccontextmanager
    async def open(self, repository: str, ident: str) -> AsyncIterator[Upload]:
        """Have an upload for oneself; what is in its file is hashed if it is not already.

        Raises:
            Refusal: BLOB_UPLOAD_UNKNOWN.
        """
        upload = self._uploads.get(ident)
        if upload is None or upload.repository != repository:
            raise _unknown(ident)
        async with upload.lock:
            if upload.gone:
                raise _unknown(ident)
            if upload.opened is None:
                upload.opened = await asyncio.to_thread(self._open, upload)
            try:
                yield upload
            finally:
                upload.used = time.monotonic()

    def _open(self, upload: Upload) -> Ingest:
        ingest = self._blobs.ingest(_PREFIX + upload.ident)
        ingest.use(upload.algorithm)
        return ingest

    def renew(self, upload: Upload) -> None:
        """Keep an upload for longer."""
        with self._rows.transaction() as tx:
            labels = {"repository": upload.repository, "algorithm": upload.algorithm}
            self._repositories.lease(tx, f"upload/{upload.ident}", labels)

    async def finish(self, upload: Upload, digest: str) -> None:
        """Make an upload a blob of its repository.

        Raises:
            DigestMismatch: It is not what it must be; the upload is gone.
            DiskFull: See the class.
        """
        ingest = upload.ingest
        try:
            await asyncio.to_thread(ingest.use, algorithm_of(digest))
            ingest.check(digest)
            size = ingest.size
            with self._leases.hold([digest]):
                await self._blobs.commit(ingest)
                with self._rows.transaction() as tx:
                    self._rows.insert_blob(tx, digest, size)
                    self._repositories.keep(tx, upload.repository, digest)
                    self._repositories.end_lease(tx, f"upload/{upload.ident}")
        finally:
            self.discard(upload)

    def discard(self, upload: Upload) -> None:
        """Forget an upload and delete its file. Its lock is held."""
        upload.gone = True
        if self._uploads.pop(upload.ident, None) is not None:
            with self._rows.transaction() as tx:
                self._repositories.end_lease(tx, f"upload/{upload.ident}")
        if upload.opened is not None:
            upload.opened.discard()
        self._blobs.busy.discard(_PREFIX + upload.ident)

    def expire(self) -> None:
        """Forget the uploads whose leases have expired; close the files of those that rest."""
        alive = self._repositories.leases("upload")
        for upload in [*self._uploads.values()]:
            if upload.lock.locked():
                continue
            if upload.ident not in alive:
                self.discard(upload)
            elif upload.opened and time.monotonic() - upload.used > _IDLE_SECONDS:
                upload.opened.close()
                upload.opened = None

    def close(self) -> None:
        """Close all files; the uploads stay."""
        for upload in self._uploads.values():
            if upload.opened is not None:
                upload.opened.close()
                upload.opened = None


def _unknown(ident: str) -> Refusal:
    return Refusal("BLOB_UPLOAD_UNKNOWN", "there is no such upload", detail={"uuid": ident})
