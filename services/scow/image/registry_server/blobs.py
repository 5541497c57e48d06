"""Blobs: read, and deleted from a repository."""

from __future__ import annotations

import os

from aiohttp import web

from scow.image.registry_server.auth.access import DELETE, PULL
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.http.files import send_file
from scow.image.registry_server.registry import Place, Registry, parse_digest
from scow.image.registry_server.removal import Removal


class BlobHandlers:
    """Answers /v2/NAME/blobs/DIGEST."""

    def __init__(self, registry: Registry, removal: Removal) -> None:
        self._registry = registry
        self._removal = removal

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET and HEAD; ranges are answered with 206."""
        registry = self._registry
        place = registry.enter(request, PULL)
        digest = self._known(place, request)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            "Cache-Control": "max-age=31536000, private",
        }
        if request.headers.get("If-None-Match", "").strip() == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        try:
            descriptor = os.open(registry.blobs.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _unknown(digest) from None
        try:
            return await send_file(request, descriptor, headers, registry.serve.stall_seconds)
        finally:
            os.close(descriptor)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE: a blob that was pushed and that no manifest of the repository names."""
        registry = self._registry
        place = registry.enter(request, DELETE)
        digest = self._known(place, request)
        await self._removal.blob(place.repository, digest)
        return web.Response(status=202)

    def _known(self, place: Place, request: web.Request) -> str:
        digest = parse_digest(request.match_info["digest"])
        if not self._registry.has(place, digest):
            raise _unknown(digest)
        return digest


def _unknown(digest: str) -> Refusal:
    return Refusal("BLOB_UNKNOWN", "the repository has no such blob", detail={"digest": digest})
