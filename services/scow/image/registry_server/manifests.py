"""Manifests, indexes and artifacts: read, written and deleted, by tag and by digest."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from scow.image.content.digests import is_digest
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import Manifest
from scow.image.oci import manifests as documents
from scow.image.oci.manifests import Document
from scow.image.registry_server.auth.access import DELETE, PULL, PUSH
from scow.image.registry_server.http.bodies import read_small
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.registry import Place, Registry, parse_digest
from scow.image.registry_server.removal import Removal
from scow.image.transfer.index import DEPTH_MAX, DOCUMENTS_MAX

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class ManifestHandlers:
    """Answers /v2/NAME/manifests/REFERENCE."""

    def __init__(self, registry: Registry, records: Records, removal: Removal) -> None:
        self._registry = registry
        self._records = records
        self._removal = removal

    async def read(self, request: web.Request) -> web.Response:
        """GET and HEAD: the bytes as they came, whatever the client accepts."""
        place = self._registry.enter(request, PULL)
        manifest = self._find(place, request.match_info["reference"])
        headers = {
            "Content-Type": manifest.media_type,
            "Docker-Content-Digest": manifest.digest,
            "ETag": f'"{manifest.digest}"',
        }
        if request.headers.get("If-None-Match", "").strip() == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        data = await asyncio.to_thread(self._read, manifest.digest)
        return web.Response(body=data, headers=headers)

    def _find(self, place: Place, reference: str) -> Manifest:
        rows = self._registry.rows
        manifest = None
        if ":" in reference:
            digest = parse_digest(reference)
            if self._registry.repositories.has(place.repository, digest):
                manifest = rows.manifest(digest)
        elif name := rows.name(f"{place.repository}:{reference}"):
            manifest = rows.manifest(name.manifest)
        if manifest is None:
            raise _unknown(reference)
        return manifest

    def _read(self, digest: str) -> bytes:
        try:
            return self._registry.blobs.read(digest)
        except FileNotFoundError:
            raise _unknown(digest) from None

    async def write(self, request: web.Request) -> web.Response:
        """PUT: record what all of whose parts are here."""
        place = self._registry.enter(request, PUSH)
        reference = request.match_info["reference"]
        if not _TAG.fullmatch(reference):
            parse_digest(reference)
        document = await self._receive(request, reference)
        parts = [part.digest for part in document.parts]
        with self._registry.leases.hold([document.digest, *parts]):
            self._check_parts(place, document)
            await self._record(place, document, "" if is_digest(reference) else reference)
        headers = {
            "Location": place.path(f"manifests/{document.digest}"),
            "Docker-Content-Digest": document.digest,
        }
        if document.subject is not None:
            headers["OCI-Subject"] = document.subject
        return web.Response(status=201, headers=headers)

    async def _receive(self, request: web.Request, reference: str) -> Document:
        """Read and check the document that a request has."""
        settings = self._registry.settings
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        stall, limit = settings.serve.stall_seconds, settings.max_manifest_bytes
        data = await read_small(request, stall, limit, "MANIFEST_INVALID")
        # Off the loop: megabytes take their time.
        document = await asyncio.to_thread(
            documents.parse_document, data, media_type, settings.max_layers, reference
        )
        if media_type and document.media_type != media_type:
            raise Refusal(
                "MANIFEST_INVALID", f"it says that it is {document.media_type}, not {media_type}"
            )
        if ":" in reference and document.digest != reference:
            raise Refusal("DIGEST_INVALID", f"its digest is {document.digest}, not {reference}")
        return document

    def _check_parts(self, place: Place, document: Document) -> None:
        """Check that the repository has what the document names, as large as it says.

        Raises:
            Refusal: MANIFEST_BLOB_UNKNOWN, MANIFEST_INVALID.
        """
        rows = self._registry.rows
        for part in document.parts:
            if part.is_foreign and rows.blob_size(part.digest) is None:
                continue  # it stays where its maker has it (image specification, layer.md)
            known = self._registry.has(place, part.digest)
            if not known or (document.is_index and rows.manifest(part.digest) is None):
                raise Refusal(
                    "MANIFEST_BLOB_UNKNOWN",
                    "the repository has not all that the manifest names",
                    detail={"digest": part.digest},
                )
            if rows.blob_size(part.digest) != part.size:
                raise Refusal("MANIFEST_INVALID", f"the size of {part.digest} is wrong")
        limit = self._registry.settings.max_config_bytes
        if document.is_image and document.parts[0].size > limit:
            raise Refusal("MANIFEST_INVALID", f"the configuration has over {limit} bytes")

    async def _record(self, place: Place, document: Document, tag: str) -> None:
        repositories = self._registry.repositories
        if not tag:
            repositories.note_pushed(place.repository, document.digest)
        # A tag alone holds an artifact; an image keeps its digest when the tag goes on to another.
        keeps_digest = not tag or document.is_image or document.is_index
        children = await asyncio.to_thread(self._below, document)
        content = Content(
            documents=[*children, document],
            references=[f"{place.repository}:{tag}"] if tag else [],
            repo_digests=[f"{place.repository}@{document.digest}"] if keeps_digest else [],
            facts={"digest": document.digest},
        )
        await self._records.put(content, "push")
        repositories.adopt(place.repository, [part.digest for part in document.parts])

    def _below(self, document: Document, depth: int = 0) -> list[Document]:
        """Return the manifests that an index leads to, before each the ones that it names."""
        if not document.is_index:
            return []
        if depth >= DEPTH_MAX:
            raise Refusal("MANIFEST_INVALID", f"indexes within indexes, more than {DEPTH_MAX} deep")
        limit = self._registry.settings.max_layers
        found: list[Document] = []
        for part in document.parts:
            child = documents.parse_document(
                self._read(part.digest), part.media_type, limit, part.digest
            )
            found += [*self._below(child, depth + 1), child]
            if len(found) > DOCUMENTS_MAX:
                raise Refusal("MANIFEST_INVALID", f"over {DOCUMENTS_MAX} manifests", status=413)
        return found

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE: of a tag the name alone, of a digest all names and what only they held."""
        place = self._registry.enter(request, DELETE)
        reference = request.match_info["reference"]
        manifest = self._find(place, reference)
        if ":" in reference:
            await self._removal.manifest(place.repository, manifest.digest)
        else:
            await self._removal.tag(f"{place.repository}:{reference}", manifest.digest)
        return web.Response(status=202)


def _unknown(reference: str) -> Refusal:
    return Refusal(
        "MANIFEST_UNKNOWN", "the repository has no such manifest", detail={"reference": reference}
    )
