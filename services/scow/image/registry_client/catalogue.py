"""What a registry has: its repositories, a repository's tags, what refers to a manifest; and whether it knows us.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md (content discovery)
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from yarl import URL

from scow.contract import strict_json
from scow.contract.errors import ManifestNotFound, RegistryRefused
from scow.image.content.digests import is_digest
from scow.image.oci.manifests import OCI_INDEX, Descriptor
from scow.image.registry_client.auth import CATALOGUE_SCOPE, Scopes
from scow.image.registry_client.errors import unavailable
from scow.image.registry_client.http import elsewhere
from scow.image.registry_client.session import Session

_PAGE = 1000
# Of a list: pages and bytes of a page.
_PAGES_MAX = 1000
_PAGE_BYTES = 8 << 20
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


async def ping(session: Session) -> None:
    """Ask whether the registry is there and takes the credentials.

    Raises:
        RegistryDenied, RegistryUnavailable, RegistryRateLimited: See these classes.
        RegistryRefused: What answers is not a registry.
    """

    async def get() -> None:
        async with session.request("GET", session.api(""), (), kind="registry"):
            pass

    try:
        await session.patiently(get)
    except ManifestNotFound as error:
        raise RegistryRefused(
            f"{session.host} is not a registry: it does not serve {session.endpoint.base}/",
            what="registry",
            which=session.host,
            do="check its name",
        ) from error


async def repositories(session: Session) -> AsyncIterator[str]:
    """Give the names of a registry's repositories."""
    path = session.api("_catalog", n=str(_PAGE))
    async for page in _pages(session, path, (CATALOGUE_SCOPE,), "catalogue"):
        for name in _texts(page, "repositories"):
            yield name


async def tags(session: Session) -> list[str]:
    """Return the tags of the session's repository, sorted as the registry sorts them.

    Raises:
        ManifestNotFound: The registry has no such repository.
    """
    found: list[str] = []
    path = session.path("tags/list", n=str(_PAGE))
    async for page in _pages(session, path, session.scopes("pull"), "repository"):
        found += _texts(page, "tags")
    return found


async def referrers(session: Session, digest: str) -> list[tuple[Descriptor, str]]:
    """Return the manifests that refer to one, each with the type of artifact that it is.

    Registries without the API have an index with the tag sha256-<digits> instead.
    """
    scopes = session.scopes("pull")
    found: list[tuple[Descriptor, str]] = []
    try:
        path = session.path(f"referrers/{digest}")
        async for page in _pages(session, path, scopes, "referrers", accept=OCI_INDEX):
            found += _entries(page)
    except (ManifestNotFound, RegistryRefused):
        path = session.path(f"manifests/{digest.replace(':', '-', 1)}")
        try:
            async for page in _pages(session, path, scopes, "referrers", accept=OCI_INDEX):
                found += _entries(page)
        except (ManifestNotFound, RegistryRefused):
            return []
    return found


async def _pages(
    session: Session, path: str, scopes: Scopes, kind: str, accept: str = "application/json"
) -> AsyncIterator[dict[str, Any]]:
    """Give the pages of a list, following Link headers on the same host (RFC 8288)."""
    where: str | URL = path
    for _ in range(_PAGES_MAX):
        page, following = await _page(session, where, scopes, kind, accept)
        yield page
        if following is None:
            return
        where = following
    raise unavailable(session.host, RuntimeError("its list has no end"))


async def _page(
    session: Session, where: str | URL, scopes: Scopes, kind: str, accept: str
) -> tuple[dict[str, Any], URL | None]:
    async def get() -> tuple[dict[str, Any], URL | None]:
        async with session.request(
            "GET", where, scopes, kind=kind, headers={"Accept": accept}
        ) as response:
            data = await session.read(response, _PAGE_BYTES, kind)
            match = _NEXT.search(response.headers.get("Link", ""))
            following = session.link(match[1], response) if match else None
        if following is not None and elsewhere(following).host != session.host:
            raise unavailable(session.host, RuntimeError("its list goes on at another host"))
        return _object(session, data), following

    return await session.patiently(get)


def _object(session: Session, data: bytes) -> dict[str, Any]:
    try:
        value = strict_json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise unavailable(session.host, RuntimeError("its answer is not a JSON object"))
    return value


def _texts(page: dict[str, Any], key: str) -> list[str]:
    found = page.get(key) or []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _entries(page: dict[str, Any]) -> list[tuple[Descriptor, str]]:
    found = []
    entries = page.get("manifests")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        digest, size = entry.get("digest"), entry.get("size")
        if isinstance(digest, str) and is_digest(digest) and isinstance(size, int) and size >= 0:
            media_type = str(entry.get("mediaType", ""))
            artifact_type = str(entry.get("artifactType", ""))
            found.append((Descriptor(digest, size, media_type), artifact_type))
    return found
