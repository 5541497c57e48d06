"""Files at URLs: bounded in time, size and redirects.

A URL that leads to the public net must not lead back into the private one: where it is redirected from a public address
to a private one, or its host's name has both, only public addresses are connected to. A private address that the user
names is the user's wish. Proxies of the environment are used, and resolve names themselves.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from scow.contract.errors import (
    InvalidArgument,
    LimitExceeded,
    PermissionDenied,
    SourceUnavailable,
)
from scow.core.loopback import is_loopback

_REDIRECTS_MAX = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 1 << 20
_SCHEMES = ("http", "https")
_CONNECT_SECONDS = 20.0
STALL_SECONDS = 30.0


def _accept(url: str) -> None:
    pass


@contextlib.asynccontextmanager
async def fetched(
    url: str,
    *,
    check: Callable[[str], None] = _accept,
    connect_seconds: float = _CONNECT_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Yield the answer that has a file; `pieces` has its bytes, which are to be read within the block.

    Args:
        url: "https://..."; a name and password in it do not follow a redirect to another origin.
        check: Called with each URL before it is fetched; raises for those that may not be.
        connect_seconds: For each connection.
        stall_seconds: Seconds without a byte after which it counts as stalled.

    Raises:
        InvalidArgument: No such URL can be.
        PermissionDenied: It redirects to a private address; or what `check` raises.
        SourceUnavailable: It cannot be reached, refuses, stalls, sends too few bytes or redirects too often.
    """
    target = _parse(url)
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=connect_seconds, sock_read=stall_seconds
    )
    headers = {"User-Agent": "scow/0.1", "Accept-Encoding": "identity"}
    guard = _Guard()
    session = aiohttp.ClientSession(
        timeout=timeout,
        auto_decompress=False,
        headers=headers,
        connector=aiohttp.TCPConnector(resolver=guard, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    try:
        async with session, await _get(session, target, guard, check) as response:
            yield response
    except (aiohttp.ClientError, TimeoutError) as error:
        if guard.refused:
            raise _private(target) from None
        why = "it stalls" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise _unavailable(target, why) from error


async def pieces(
    response: aiohttp.ClientResponse, url: str, size_max: int, do: str
) -> AsyncIterator[bytes]:
    """Yield the bytes of a file, as they were sent.

    Args:
        response: Of `fetched`.
        url: For errors.
        size_max: Bytes.
        do: What to do where there are more.

    Raises:
        LimitExceeded: There are more.
    """
    size = 0
    async for piece in response.content.iter_chunked(_PIECE):
        size += len(piece)
        if size > size_max:
            raise _too_large(_parse(url), size_max, do)
        yield piece


class _Guard(AbstractResolver):
    """Resolves names; once a public address was connected to, private ones are left out."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()
        self.is_public = False
        self.refused = False
        # The name that is asked for is that of a proxy, whom who administers the host has named.
        self.is_proxy = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to."""
        found = await self._inner.resolve(host, port, family)
        public = [address for address in found if is_public(address["host"])]
        if public:
            self.is_public = True
            return public
        if self.is_public and not self.is_proxy:
            self.refused = True
            raise OSError(f"{host} has a private address")
        return found

    async def close(self) -> None:
        """Let go of nothing."""

    def check_literal(self, host: str) -> bool:
        """Tell whether a host that is an address may be connected to; names are looked at when they are resolved."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return True
        if is_public(host):
            self.is_public = True
        return is_public(host) or not self.is_public


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public net."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global


async def _get(
    session: aiohttp.ClientSession, url: URL, guard: _Guard, check: Callable[[str], None]
) -> aiohttp.ClientResponse:
    """GET a URL, and what it redirects to: each time by the proxy that is meant for that host."""
    origin, credentials = url, _credentials(url)
    for _ in range(_REDIRECTS_MAX + 1):
        host = url.host or ""
        check(str(url.with_user(None)))
        if not guard.check_literal(host):
            raise _private(origin)
        proxy = proxy_for(url.scheme, host)
        guard.is_proxy = proxy is not None
        response = await session.get(
            url.with_user(None),
            auth=credentials if url.origin() == origin.origin() else None,
            proxy=proxy,
            allow_redirects=False,
        )
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or location is None:
            break
        response.release()
        url = _joined(url, location, origin)
        if url.scheme not in _SCHEMES or not url.host:
            raise _unavailable(origin, f"it redirects to {location!r:.200}")
    else:
        raise _unavailable(origin, f"it redirects more than {_REDIRECTS_MAX} times")
    if response.status != 200:
        response.release()
        raise _unavailable(origin, f"it answers {response.status} {response.reason}")
    return response


def _joined(url: URL, location: str, origin: URL) -> URL:
    try:
        return url.join(URL(location))
    except ValueError:
        raise _unavailable(origin, f"it redirects to {location!r:.200}") from None


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the environment's proxy for a host (HTTPS_PROXY, HTTP_PROXY, NO_PROXY); loopback has none."""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(scheme)


def _credentials(url: URL) -> aiohttp.BasicAuth | None:
    return aiohttp.BasicAuth(url.user, url.password or "") if url.user else None


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
        if parsed.scheme in _SCHEMES and parsed.host:
            return parsed
    except ValueError:
        pass
    shown = re.sub(r"(^|://)\S*@", r"\1", url)[:200]
    raise InvalidArgument(
        f"{shown!r} is not a URL of a file",
        what="URL",
        which=shown,
        do="write http://HOST/... or https://HOST/...",
    )


def _private(url: URL) -> PermissionDenied:
    shown = str(url.with_user(None))
    return PermissionDenied(
        f"{shown} leads to a private address",
        what="URL",
        which=shown,
        do="name that address itself, if you trust it",
    )


def _unavailable(url: URL, why: str) -> SourceUnavailable:
    shown = str(url.with_user(None))
    return SourceUnavailable(
        f"{shown} cannot be fetched: {why}",
        what="URL",
        which=shown,
        do="check it and the network, then try again",
    )


def _too_large(url: URL, limit: int, do: str) -> LimitExceeded:
    shown = str(url.with_user(None))
    return LimitExceeded(f"{shown} has more than {limit} bytes", what="URL", which=shown, do=do)
