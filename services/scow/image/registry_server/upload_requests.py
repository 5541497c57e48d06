"""The requests of an upload: begin, mount, append, ask, finish, cancel."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from scow.image.content.digests import algorithm_of
from scow.image.registry_server.auth.access import PUSH
from scow.image.registry_server.http.bodies import read_pieces
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.registry import Place, Registry, parse_algorithm, parse_digest
from scow.image.registry_server.uploads import Upload, Uploads

# What is gathered before a thread hashes and writes it.
_PIECE = 1 << 20
_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/.*)?")


class UploadHandlers:
    """Answers /v2/NAME/blobs/uploads/."""

    def __init__(self, registry: Registry, uploads: Uploads) -> None:
        self._registry = registry
        self._uploads = uploads

    async def begin(self, request: web.Request) -> web.Response:
        """POST: begin an upload; mount a blob of another repository; or take a whole blob at once."""
        place = self._registry.enter(request, PUSH)
        mounted = request.query.get("mount")
        if mounted is not None and self._mount(place, request, mounted):
            return self._created(place, mounted)
        if "digest" not in request.query:
            ident = self._uploads.begin(place.repository, parse_algorithm(request))
            return self._accepted(place, ident, 0)
        digest = parse_digest(request.query["digest"])
        ident = self._uploads.begin(place.repository, algorithm_of(digest))
        async with self._uploads.open(place.repository, ident) as upload:
            try:
                await self._append(request, upload)
                await self._uploads.finish(upload, digest)
            finally:
                self._uploads.discard(upload)
        return self._created(place, digest)

    def _mount(self, place: Place, request: web.Request, text: str) -> bool:
        """Let the repository have a blob of another one that the caller may read; tell whether it has it now.

        Whatever the reason why not, the client is to upload the blob instead.
        """
        registry = self._registry
        source = place.repository
        try:
            digest = parse_digest(text)
            if "from" in request.query:
                source = registry.naming.repository(request.query["from"], place.namespace)
        except Refusal:
            return False
        if not registry.can_mount(place.caller, source, digest):
            return False
        with registry.rows.transaction() as tx:
            registry.repositories.keep(tx, place.repository, digest)
        return True

    async def append(self, request: web.Request) -> web.Response:
        """PATCH: append a chunk, or a stream of bytes."""
        place = self._registry.enter(request, PUSH)
        async with self._uploads.open(place.repository, request.match_info["upload"]) as upload:
            await self._append(request, upload)
            self._uploads.renew(upload)
            return self._accepted(place, upload.ident, upload.ingest.size)

    async def status(self, request: web.Request) -> web.Response:
        """GET: tell how much is there."""
        place = self._registry.enter(request, PUSH)
        async with self._uploads.open(place.repository, request.match_info["upload"]) as upload:
            return self._accepted(place, upload.ident, upload.ingest.size, status=204)

    async def finish(self, request: web.Request) -> web.Response:
        """PUT: append what the request has, check the digest, make it a blob."""
        place = self._registry.enter(request, PUSH)
        digest = parse_digest(request.query.get("digest", ""))
        async with self._uploads.open(place.repository, request.match_info["upload"]) as upload:
            await self._append(request, upload)
            await self._uploads.finish(upload, digest)
        return self._created(place, digest)

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE: give an upload up."""
        place = self._registry.enter(request, PUSH)
        async with self._uploads.open(place.repository, request.match_info["upload"]) as upload:
            self._uploads.discard(upload)
        return web.Response(status=204)

    async def _append(self, request: web.Request, upload: Upload) -> None:
        """Write the request's body behind what is there.

        Raises:
            Refusal: RANGE_INVALID (416): it does not go on where the upload is; SIZE_INVALID: it is not as long as
                it says, or longer than is allowed.
            ConnectionError, TimeoutError: The client went away, or stalls. What came is kept.
        """
        ingest = upload.ingest
        length = self._announced(request, upload)
        start = ingest.size
        limit = self._registry.serve.max_upload_bytes
        piece = bytearray()
        try:
            async for data in read_pieces(request, self._registry.serve.stall_seconds):
                piece += data
                if limit and ingest.size + len(piece) > limit:
                    self._uploads.discard(upload)
                    raise Refusal("SIZE_INVALID", f"a blob has at most {limit} bytes", status=413)
                if len(piece) >= _PIECE:
                    whole, piece = bytes(piece), bytearray()
                    await asyncio.to_thread(ingest.write, whole)
        finally:
            if piece and not upload.gone:
                await asyncio.to_thread(ingest.write, bytes(piece))
        if length is not None and ingest.size - start != length:
            raise Refusal("SIZE_INVALID", "Content-Range does not fit the length of what was sent")

    @staticmethod
    def _announced(request: web.Request, upload: Upload) -> int | None:
        """Return the length that a Content-Range header announces, None without one."""
        text = request.headers.get("Content-Range")
        if text is None:
            return None
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise Refusal("BLOB_UPLOAD_INVALID", "Content-Range is not <start>-<end>")
        first, last = int(match[1]), int(match[2])
        length = last - first + 1
        if first != upload.ingest.size or length < 0:
            headers = {"Range": _range(upload.ingest.size)}
            raise Refusal("RANGE_INVALID", "the upload is elsewhere", headers=headers)
        if request.content_length not in (None, length):
            raise Refusal("SIZE_INVALID", "Content-Range does not fit Content-Length")
        return length

    @staticmethod
    def _accepted(place: Place, ident: str, size: int, status: int = 202) -> web.Response:
        headers = {
            "Location": place.path(f"blobs/uploads/{ident}"),
            "Docker-Upload-UUID": ident,
            "Range": _range(size),
        }
        return web.Response(status=status, headers=headers)

    @staticmethod
    def _created(place: Place, digest: str) -> web.Response:
        headers = {"Location": place.path(f"blobs/{digest}"), "Docker-Content-Digest": digest}
        return web.Response(status=201, headers=headers)


def _range(size: int) -> str:
    """Return what is there; of nothing "0-0" is said, as the distribution project does."""
    return f"0-{max(0, size - 1)}"
