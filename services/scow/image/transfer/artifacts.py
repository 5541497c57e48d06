"""Artifacts of other services: passed on to registries and back, whole, and kept nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from scow.contract.errors import LimitExceeded
from scow.image.content.digests import digest_of
from scow.image.oci.manifests import Descriptor, Document
from scow.image.oci.reference import Reference
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.uploads import Uploads

# A blob goes in one message, which is at most 64 MiB.
BLOB_MAX = 32 << 20


class Artifacts:
    """Gets and puts artifacts.

    Args:
        registries: All registries.
    """

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    async def get(self, reference: Reference, credentials: Credentials) -> tuple[bytes, str]:
        """Get a manifest or index; return its bytes and media type."""
        return await self._registries.pulling(reference, credentials).manifest(reference.target)

    async def put(
        self,
        reference: Reference,
        credentials: Credentials,
        content: bytes,
        media_type: str,
        *,
        untagged: bool,
    ) -> str:
        """Give a repository a manifest or index; return its digest."""
        document = Document(content, digest_of(content), media_type, is_index=False, parts=())
        target = document.digest if untagged else reference.tag or document.digest
        await self._uploads(reference, credentials).put_manifest(target, document)
        return document.digest

    async def get_blob(
        self, reference: Reference, credentials: Credentials, digest: str, size: int
    ) -> bytes:
        """Get a blob, verified.

        Raises:
            LimitExceeded: It is too large.
        """
        _check(size, digest)
        registry = self._registries.pulling(reference, credentials)
        return await registry.small_blob(Descriptor(digest, size), size)

    async def put_blob(
        self, reference: Reference, credentials: Credentials, content: bytes
    ) -> tuple[str, bool]:
        """Give a repository a blob; return its digest, and whether it was there already.

        Raises:
            LimitExceeded: It is too large.
        """
        digest = digest_of(content)
        _check(len(content), digest)
        uploads = self._uploads(reference, credentials)
        if await uploads.exists(digest):
            return digest, True
        # Uploads send files, again where they were cut.
        memory = os.memfd_create("blob")
        try:
            os.write(memory, content)
            path = Path(f"/proc/self/fd/{memory}")
            await uploads.upload(Descriptor(digest, len(content)), path, lambda _: None)
        finally:
            os.close(memory)
        return digest, False

    async def has_blob(self, reference: Reference, credentials: Credentials, digest: str) -> bool:
        """Tell whether a repository has a blob."""
        return await self._uploads(reference, credentials).exists(digest)

    async def delete(self, reference: Reference, credentials: Credentials, digest: str) -> None:
        """Delete a manifest or index from a repository, with all of its tags; nothing there is no error."""
        await self._uploads(reference, credentials).delete_manifest(digest)

    def _uploads(self, reference: Reference, credentials: Credentials) -> Uploads:
        return Uploads(self._registries.pushing(reference, credentials))


def _check(size: int, digest: str) -> None:
    if not 0 <= size <= BLOB_MAX:
        raise LimitExceeded(
            f"the blob {digest} has {size} bytes, more than the {BLOB_MAX} that are passed on",
            what="blob",
            which=digest,
            do="pull it as an image",
        )
