"""Lists: repositories, tags, and what refers to a manifest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from scow.image.metadata.tables import Manifest
from scow.image.oci.manifests import OCI_INDEX
from scow.image.registry_server.auth.access import PULL
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.names import domain_of
from scow.image.registry_server.registry import (
    CALLER,
    Place,
    Registry,
    parse_count,
    parse_digest,
)

_MOST = 1000
# Each is a manifest to be read.
_MOST_REFERRERS = 200


class CatalogueHandlers:
    """Answers /v2/_catalog, /v2/NAME/tags/list and /v2/NAME/referrers/DIGEST."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def repositories(self, request: web.Request) -> web.Response:
        """GET /v2/_catalog: those that the caller may pull from; with `ns` those of that host."""
        registry = self._registry
        caller = request[CALLER]
        registry.authorization.check_login(request, caller)
        namespace = domain_of(request.query.get("ns", ""))
        names = [
            name
            for repository in registry.repositories.all()
            if repository.startswith(f"{namespace}/" if namespace else "")
            and registry.authorization.may_list(caller, repository)
            and (name := registry.naming.name(repository, namespace))
        ]
        shown, headers = _page(request, sorted(names), _MOST)
        return web.json_response({"repositories": shown}, headers=headers)

    async def tags(self, request: web.Request) -> web.Response:
        """GET /v2/NAME/tags/list."""
        place = self._registry.enter(request, PULL)
        if not self._registry.repositories.exists(place.repository):
            raise Refusal("NAME_UNKNOWN", "there is no such repository", detail=place.name)
        tags = self._registry.repositories.tags(place.repository)
        shown, headers = _page(request, tags, _MOST)
        return web.json_response({"name": place.name, "tags": shown}, headers=headers)

    async def referrers(self, request: web.Request) -> web.Response:
        """GET /v2/NAME/referrers/DIGEST: an index, empty when nothing refers to it or it is not here."""
        place = self._registry.enter(request, PULL)
        subject = parse_digest(request.match_info["digest"])
        wanted = request.query.get("artifactType", "")
        rows = {row.digest: row for row in self._referring(place, subject)}
        shown, headers = _page(request, sorted(rows), _MOST_REFERRERS)
        found = await asyncio.to_thread(self._describe, [rows[digest] for digest in shown])
        if wanted:
            headers["OCI-Filters-Applied"] = "artifactType"
            found = [each for each in found if each["artifactType"] == wanted]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        # Exactly this type: the specification has no charset behind it.
        headers["Content-Type"] = OCI_INDEX
        return web.Response(body=json.dumps(index).encode(), headers=headers)

    def _referring(self, place: Place, subject: str) -> list[Manifest]:
        repositories = self._registry.repositories
        rows = repositories.referrers(subject)
        return [row for row in rows if repositories.has(place.repository, row.digest)]

    def _describe(self, rows: Sequence[Manifest]) -> list[dict[str, Any]]:
        found = []
        for row in rows:
            try:
                data = self._registry.blobs.read(row.digest)
            except FileNotFoundError:
                continue
            found.append(_descriptor(row, data))
        return found


def _descriptor(row: Manifest, data: bytes) -> dict[str, Any]:
    """Return the descriptor of a referrer; one without a type of its own has that of its configuration."""
    value = json.loads(data)
    config = value.get("config")
    kind = config.get("mediaType", "") if isinstance(config, dict) else ""
    descriptor = {
        "mediaType": row.media_type,
        "digest": row.digest,
        "size": len(data),
        "artifactType": row.artifact_type or kind,
    }
    if isinstance(value.get("annotations"), dict):
        descriptor["annotations"] = value["annotations"]
    return descriptor


def _page(
    request: web.Request, items: Sequence[str], most: int
) -> tuple[Sequence[str], dict[str, str]]:
    """Return the items that `n` and `last` ask for, and the Link header when there are more."""
    count = parse_count(request, most, most)
    last = request.query.get("last", "")
    rest = [item for item in items if item > last] if last else items
    shown = rest[:count]
    if not shown or len(rest) <= count:
        return shown, {}
    kept = {key: value for key, value in request.query.items() if key not in ("n", "last")}
    query = urlencode({**kept, "n": count, "last": shown[-1]})
    return shown, {"Link": f'<{request.path}?{query}>; rel="next"'}
