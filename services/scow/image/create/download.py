"""Fetching what is imported from a URL: bounded in time, size and redirects; proxies by environment."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from scow.contract.errors import InvalidArgument, LimitExceeded, SourceUnavailable
from scow.core.config import ImageSection
from scow.image.registry_client.http import proxy_for

_REDIRECTS_MAX = 5
_PIECE = 1 << 20
_SCHEMES = ("http", "https")


async def download(url: str, settings: ImageSection) -> AsyncIterator[bytes]:
    """Yield the bytes at a URL, as they were sent.

    Args:
        url: "http://..." or "https://...". A name and password in it do not follow a redirect to another origin.
        settings: Limits, and seconds to connect and of silence.

    Raises:
        InvalidArgument: No such URL can be.
        SourceUnavailable: It cannot be reached, refuses, stalls, sends too few bytes or redirects too often.
        LimitExceeded: It sends too many.
    """
    target = _parse(url)
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=settings.connect_seconds, sock_read=settings.stall_seconds
    )
    headers = {"User-Agent": "scow/0.1", "Accept-Encoding": "identity"}
    size = 0
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                auto_decompress=False,
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            await _get(session, target) as response,
        ):
            async for piece in response.content.iter_chunked(_PIECE):
                size += len(piece)
                if size > settings.max_layer_bytes:
                    raise _too_large(target, settings.max_layer_bytes)
                yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        why = "it stalls" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise _unavailable(target, why) from error


async def _get(session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
    """GET a URL, and what it redirects to: each time by the proxy that is meant for that host."""
    origin, credentials = url, _credentials(url)
    for _ in range(_REDIRECTS_MAX + 1):
        host = url.host or ""
        response = await session.get(
            url.with_user(None),
            auth=credentials if url.origin() == origin.origin() else None,
            proxy=proxy_for(url.scheme, host),
            allow_redirects=False,
        )
        location = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or location is None:
            break
        response.release()
        url = url.join(URL(location))
        if url.scheme not in _SCHEMES or not url.host:
            raise _unavailable(origin, f"it redirects to {location!r:.200}")
    else:
        raise _unavailable(origin, f"it redirects more than {_REDIRECTS_MAX} times")
    if response.status != 200:
        response.release()
        raise _unavailable(origin, f"it answers {response.status} {response.reason}")
    return response


def _credentials(url: URL) -> aiohttp.BasicAuth | None:
    return aiohttp.BasicAuth(url.user, url.password or "") if url.user else None


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
        if parsed.scheme in _SCHEMES and parsed.host:
            return parsed
    except ValueError:
        pass
    raise InvalidArgument(
        f"{url[:200]!r} is not a URL to import from",
        what="URL",
        which=url[:200],
        do="give http://HOST/... or https://HOST/...",
    )


def _unavailable(url: URL, why: str) -> SourceUnavailable:
    shown = str(url.with_user(None))
    return SourceUnavailable(
        f"{shown} cannot be fetched: {why}",
        what="URL",
        which=shown,
        do="check it and the network, then try again",
    )


def _too_large(url: URL, limit: int) -> LimitExceeded:
    shown = str(url.with_user(None))
    return LimitExceeded(
        f"{shown} has more than {limit} bytes",
        what="URL",
        which=shown,
        do=f"raise image.max_layer_bytes, which is {limit}",
    )
