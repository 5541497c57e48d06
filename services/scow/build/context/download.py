"""Files at URLs: bounded in time, size and redirects.

A URL that leads to the public net must not lead back into the private one: where it is redirected from a public address
to a private one, or its host's name has both, only public addresses are connected to. A private address that is named
by the Dockerfile itself is the user's wish. Proxies of the environment are used, and resolve names themselves.
"""

from __future__ import annotations

import email.utils
import hashlib
import ipaddress
import os
import re
import socket
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from scow.contract.errors import (
    DigestMismatch,
    InvalidArgument,
    LimitExceeded,
    PermissionDenied,
    SourceUnavailable,
)

SIZE_MAX = 16 << 30
_REDIRECTS_MAX = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 1 << 20
_SCHEMES = ("http", "https")
_CONNECT_SECONDS = 20.0
_STALL_SECONDS = 30.0
_NAME = re.compile(r"[^/\0]{1,255}")


@dataclass(frozen=True)
class Download:
    """A file that was fetched.

    Attributes:
        descriptor: An open file without a name, to be closed.
        name: The last part of the URL, or "".
        digest: "sha256:...".
        mtime_ns: When the server says that it changed; 0 where it does not.
    """

    descriptor: int
    size: int
    name: str
    digest: str
    mtime_ns: int


def _accept(url: str) -> None:
    pass


async def download(
    url: str,
    folder: str,
    *,
    checksum: str = "",
    check: Callable[[str], None] = _accept,
    size_max: int = SIZE_MAX,
    stall_seconds: float = _STALL_SECONDS,
) -> Download:
    """Fetch a file.

    Args:
        url: "https://..."; a name and password in it do not follow a redirect to another origin.
        folder: Where it may be kept.
        checksum: What it must have, "sha256:..."; empty takes any.
        check: Called with each URL before it is fetched; raises for those that may not be.
        size_max: Bytes.
        stall_seconds: Seconds without a byte after which it counts as stalled.

    Raises:
        InvalidArgument: No such URL can be.
        PermissionDenied: It redirects to a private address; or what `check` raises.
        SourceUnavailable: It cannot be reached, refuses, stalls, sends too few bytes or redirects too often.
        DigestMismatch: It has another checksum.
        LimitExceeded: It sends too many bytes.
    """
    target = _parse(url)
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=_CONNECT_SECONDS, sock_read=stall_seconds
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
            return await _receive(response, target, folder, checksum, size_max)
    except (aiohttp.ClientError, TimeoutError) as error:
        if guard.refused:
            raise _private(target) from None
        why = "it stalls" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise _unavailable(target, why) from error


class _Guard(AbstractResolver):
    """Resolves names; once a public address was connected to, private ones are left out."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()
        self.is_public = False
        self.refused = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to."""
        found = await self._inner.resolve(host, port, family)
        public = [address for address in found if is_public(address["host"])]
        if public:
            self.is_public = True
            return public
        if self.is_public:
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
        response = await session.get(
            url.with_user(None),
            auth=credentials if url.origin() == origin.origin() else None,
            proxy=_proxy(url.scheme, host),
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


async def _receive(
    response: aiohttp.ClientResponse, url: URL, folder: str, checksum: str, size_max: int
) -> Download:
    descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        algorithm = checksum.partition(":")[0] or "sha256"
        hashed = {name: hashlib.new(name) for name in {"sha256", algorithm}}
        size = 0
        async for piece in response.content.iter_chunked(_PIECE):
            size += len(piece)
            if size > size_max:
                raise _too_large(url, size_max)
            for each in hashed.values():
                each.update(piece)
            _write_all(descriptor, piece)
        found = f"{algorithm}:{hashed[algorithm].hexdigest()}"
        if checksum and found != checksum:
            raise DigestMismatch(
                f"{url.with_user(None)} has the checksum {found}, not {checksum}",
                what="URL",
                which=str(url.with_user(None)),
                do="see whether the file has changed, and who changed it",
            )
        digest = f"sha256:{hashed['sha256'].hexdigest()}"
        return Download(descriptor, size, _name(url), digest, _modified(response))
    except BaseException:
        os.close(descriptor)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _name(url: URL) -> str:
    """Return the name for the file of a URL: the last part of its path."""
    name = url.name
    return name if _NAME.fullmatch(name) and name not in (".", "..") else ""


def _modified(response: aiohttp.ClientResponse) -> int:
    try:
        when = email.utils.parsedate_to_datetime(response.headers.get("Last-Modified", ""))
        return max(int(when.timestamp()), 0) * 1_000_000_000
    except (ValueError, TypeError, OverflowError):
        return 0


def _proxy(scheme: str, host: str) -> str | None:
    bypass: Any = urllib.request.proxy_bypass
    if host in ("localhost", "127.0.0.1", "::1") or bypass(host):
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
    raise InvalidArgument(
        f"{url[:200]!r} is not a URL of a file",
        what="URL",
        which=url[:200],
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


def _too_large(url: URL, limit: int) -> LimitExceeded:
    shown = str(url.with_user(None))
    return LimitExceeded(
        f"{shown} has more than {limit} bytes", what="URL", which=shown, do="COPY it from a context"
    )
