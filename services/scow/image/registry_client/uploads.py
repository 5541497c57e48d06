"""Pushing to a repository: blobs, in a way that survives cuts, and manifests.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md (push). A small blob is one PUT. A large one is
PATCHed, as a whole, or in chunks where the configuration wants some (OCI-Chunk-Min-Length: not smaller than that);
after a cut the registry is asked how far it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from scow.contract.errors import DigestMismatch, ManifestNotFound, RegistryRefused, ScowError
from scow.image.content.blobs import lost
from scow.image.oci.manifests import Descriptor, Document
from scow.image.registry_client.auth import repository_scope
from scow.image.registry_client.body import FilePart
from scow.image.registry_client.errors import ComeBack, unavailable
from scow.image.registry_client.session import Session

# Up to so many bytes one PUT is quicker than a PATCH and a PUT.
_SMALL = 1 << 20
_CANCEL_SECONDS = 2.0
# Registries differ in how they say that all went well.
_ACCEPTED = (200, 201, 202, 204)
_OUT_OF_STEP = 416
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,19})")
_LEAST = re.compile(r"[0-9]{1,19}")
_NO_BYTES = {"Content-Length": "0"}
Report = Callable[[int], None]
_T = TypeVar("_T")


class Uploads:
    """Pushes to one repository.

    Args:
        session: With the registry.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._scopes = session.scopes("pull", "push")

    async def exists(self, digest: str) -> bool:
        """Tell whether the repository has a blob."""

        async def head() -> bool:
            path = self._session.path(f"blobs/{digest}")
            try:
                async with self._session.request("HEAD", path, self._scopes, kind="blob"):
                    return True
            except ManifestNotFound:
                return False

        return await self._session.patiently(head)

    async def mount(self, digest: str, source: str) -> bool:
        """Let the repository take a blob from another one of the registry; tell whether it did.

        Args:
            digest: The blob.
            source: The other repository, "library/nginx".
        """
        own = self._session.repository
        scopes = (*self._scopes, repository_scope(self._session.endpoint.scoped(source), "pull"))
        if source == own:
            return False

        async def post() -> bool:
            path = self._session.path("blobs/uploads/", mount=digest, **{"from": source})
            async with self._session.request(
                "POST", path, scopes, good=_ACCEPTED, headers=_NO_BYTES
            ) as response:
                if response.status == 201:
                    return True
                begun = self._session.location(response)  # it wants to be sent the blob instead
            await self.cancel(begun)
            return False

        try:
            return await self._session.patiently(lambda: _answered(post()))
        except ScowError:  # a mount is a favour: without it the blob is sent
            return False

    async def upload(self, blob: Descriptor, path: Path, sent: Report) -> None:
        """Send a blob.

        Args:
            blob: Which.
            path: Its file.
            sent: Told how many bytes are on their way.

        Raises:
            RegistryDenied, RegistryRateLimited, RegistryUnavailable, RegistryRefused: See these classes.
            LayerCorrupt: The file is gone.
        """
        with _opened(path, blob.digest) as descriptor:
            upload = _Upload(self._session, self._scopes, blob, descriptor, sent)
            try:
                await self._session.patiently(upload.attempt, lambda: upload.progress)
            except BaseException:
                if upload.location is not None:
                    await self.cancel(upload.location)
                raise

    async def put_manifest(self, target: str, document: Document) -> None:
        """Give the repository a manifest or index, whose parts it has.

        Args:
            target: A tag, or its digest.
            document: The manifest.

        Raises:
            RegistryRefused: The registry does not take it.
            DigestMismatch: The registry understood something else.
        """

        async def put() -> str:
            path = self._session.path(f"manifests/{target}")
            async with self._session.request(
                "PUT",
                path,
                self._scopes,
                kind="manifest",
                good=_ACCEPTED,
                headers={"Content-Type": document.media_type},
                body=document.data,
            ) as response:
                return response.headers.get("Docker-Content-Digest", "")

        told = await self._session.patiently(put)
        if told and told != document.digest:
            raise DigestMismatch(
                f"the registry {self._session.host} stored the manifest {document.digest} as {told}",
                what="manifest",
                which=document.digest,
                do="tell who runs the registry",
            )

    async def delete_manifest(self, digest: str) -> None:
        """Delete a manifest or index from the repository, with all of its tags; nothing there is no error.

        Raises:
            RegistryRefused: The registry deletes nothing.
        """
        scopes = self._session.scopes("delete")

        async def delete() -> None:
            path = self._session.path(f"manifests/{digest}")
            with contextlib.suppress(ManifestNotFound):
                async with self._session.request(
                    "DELETE", path, scopes, kind="manifest", good=_ACCEPTED
                ):
                    pass

        await self._session.patiently(delete)

    async def cancel(self, location: URL) -> None:
        """Let the registry drop what was begun; it does so by itself after a while."""
        with contextlib.suppress(ScowError, ComeBack, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                sending = self._session.request("DELETE", location, self._scopes, good=_ACCEPTED)
                async with sending:
                    pass


async def _answered(beginning: Coroutine[Any, Any, _T]) -> _T:
    """Begin an upload, to the end also where this is cancelled: who does not learn its location cannot drop it."""
    task = asyncio.ensure_future(beginning)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_CANCEL_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


class _Upload:
    """One blob on its way.

    Attributes:
        location: Where its bytes go, once the registry has said it.
        reached: Bytes that the registry has.
    """

    def __init__(
        self,
        session: Session,
        scopes: tuple[str, ...],
        blob: Descriptor,
        descriptor: int,
        sent: Report,
    ) -> None:
        self._session = session
        self._scopes = scopes
        self._blob = blob
        self._descriptor = descriptor
        self._sent = sent
        self._chunk = 0
        self._begun = False
        self.location: URL | None = None
        self.reached = 0

    @property
    def progress(self) -> int:
        """Grows while it works: what was begun counts, so that an outage is waited for."""
        return self.reached + self._begun

    async def attempt(self) -> None:
        """Go on from where it is."""
        if self._begun and await self._find_out():
            return
        if self.location is None:
            await self._begin()
        self._begun = True
        if self._blob.size > _SMALL:
            while self.reached < self._blob.size:
                await self._patch()
        await self._finish()

    async def _begin(self) -> None:
        await _answered(self._post())

    async def _post(self) -> None:
        self.reached = 0
        path = self._session.path("blobs/uploads/")
        async with self._session.request(
            "POST", path, self._scopes, good=_ACCEPTED, headers=_NO_BYTES
        ) as response:
            self.location = self._session.location(response)
            least = response.headers.get("OCI-Chunk-Min-Length", "")
        self._chunk = self._session.wire.settings.upload_chunk_bytes
        if _LEAST.fullmatch(least):
            self._chunk = max(self._chunk, int(least)) if self._chunk else 0

    async def _find_out(self) -> bool:
        """Ask how far the registry came, and whether that was the end; where it does not say, start over."""
        location = self.location
        if location is not None and self._blob.size > _SMALL:
            with contextlib.suppress(ManifestNotFound, RegistryRefused):
                async with self._session.request(
                    "GET", location, self._scopes, good=_ACCEPTED
                ) as response:
                    reached = _reached(response)
                    if reached is not None and reached <= self._blob.size:
                        self.reached = reached
                        self.location = self._session.location(response)
                        return False
        self.location = None
        if location is not None:
            await Uploads(self._session).cancel(location)
        return await Uploads(self._session).exists(self._blob.digest)

    async def _patch(self) -> None:
        assert self.location is not None
        start, left = self.reached, self._blob.size - self.reached
        size = min(left, self._chunk or left)
        headers = {"Content-Type": "application/octet-stream"}
        if start or size < left:
            headers["Content-Range"] = f"{start}-{start + size - 1}"
        async with self._session.request(
            "PATCH",
            self.location,
            self._scopes,
            kind="blob",
            good=(*_ACCEPTED, _OUT_OF_STEP),
            headers=headers,
            body=self._part(start, size),
        ) as response:
            if response.status == _OUT_OF_STEP:
                raise unavailable(self._session.host, RuntimeError("an upload is out of step"))
            self.location = self._session.location(response)
            reached = _reached(response)
        self.reached = start + size
        if reached is not None and reached < self.reached:
            if reached <= start:
                raise unavailable(self._session.host, RuntimeError("it keeps nothing of an upload"))
            self.reached = reached

    async def _finish(self) -> None:
        """Tell the digest; of a small blob send the bytes too."""
        assert self.location is not None
        rest = self._blob.size - self.reached
        # As text: a registry may have signed the rest as it wrote it.
        mark = "&" if self.location.raw_query_string else "?"
        url = URL(f"{self.location}{mark}digest={quote(self._blob.digest)}", encoded=True)
        body = self._part(self.reached, rest) if rest else None
        headers = {"Content-Type": "application/octet-stream"} if rest else _NO_BYTES
        try:
            async with self._session.request(
                "PUT",
                url,
                self._scopes,
                kind="blob",
                good=_ACCEPTED,
                headers=headers,
                body=body,
            ):
                self.location = None
        except (ManifestNotFound, RegistryRefused):
            # An answer that was lost may have been that all is well.
            if not await Uploads(self._session).exists(self._blob.digest):
                raise
            self.location = None

    def _part(self, start: int, size: int) -> FilePart:
        stall = self._session.wire.settings.stall_seconds
        return FilePart(self._descriptor, start, size, stall, self._sent)


def _reached(response: aiohttp.ClientResponse) -> int | None:
    """Return how many bytes a registry says that it has; None when it does not say.

    "0-0" is said for no byte and for one: it is not an answer.
    """
    match = _RANGE.fullmatch(response.headers.get("Range", "").strip())
    if match is None or match[1] == "0":
        return None
    return int(match[1]) + 1


@contextlib.contextmanager
def _opened(path: Path, digest: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise lost(digest) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
