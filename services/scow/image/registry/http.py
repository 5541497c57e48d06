"""HTTP to registries: TLS, plain HTTP where it is allowed, patience, and errors with names."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from scow.core.config import ImageSection
from scow.core.errors import RegistryUnavailable

_USER_AGENT = "scow/0.1"


class Http:
    """One session for all registries.

    Args:
        settings: The service's section of the configuration.
    """

    def __init__(self, settings: ImageSection) -> None:
        self._settings = settings
        self._schemes: dict[str, str] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=settings.connect_seconds,
            sock_read=settings.stall_seconds,
        )
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,  # bytes are verified as they were sent
            headers={"User-Agent": _USER_AGENT},
            connector=aiohttp.TCPConnector(limit_per_host=16),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def is_insecure(self, host: str) -> bool:
        """Tell whether plain HTTP and unknown certificates are allowed for "HOST[:PORT]"."""
        name = hostname(host)
        listed = self._settings.insecure_registries
        return host in listed or name in listed or _is_loopback(name)

    @contextlib.asynccontextmanager
    async def get(
        self, host: str, path: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a path of a registry, by the scheme that it speaks.

        Raises:
            RegistryUnavailable: It cannot be reached, stalls, or its certificate is not trusted.
        """
        schemes = [self._schemes[host]] if host in self._schemes else self._candidates(host)
        for scheme in schemes:
            try:
                async with self.open(f"{scheme}://{host}{path}", headers, host) as response:
                    self._schemes[host] = scheme
                    yield response
                    return
            except _WrongScheme:
                if scheme == schemes[-1]:
                    raise
                continue

    def _candidates(self, host: str) -> list[str]:
        if not self.is_insecure(host):
            return ["https"]
        # A loopback registry is nearly always plain: asking that first saves a failed handshake.
        return ["http", "https"] if _is_loopback(hostname(host)) else ["https", "http"]

    @contextlib.asynccontextmanager
    async def open(
        self,
        url: str,
        headers: Mapping[str, str],
        host: str,
        form: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a URL, or POST a form; credentials in `headers` do not follow a redirect to another origin.

        Raises:
            RegistryUnavailable: As of `get`.
        """
        try:
            response = await self._session.request(
                "GET" if form is None else "POST",
                url,
                headers=headers,
                data=form,
                allow_redirects=form is None,
                ssl=self._context(host),
                proxy=_proxy(url, host),
            )
        except (aiohttp.ClientSSLError, aiohttp.ServerDisconnectedError) as error:
            raise _WrongScheme(*_unreachable(host, error)) from error
        except aiohttp.ClientResponseError as error:  # what answers speaks no HTTP
            raise _WrongScheme(*_unreachable(host, error)) from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(host, error.os_error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(host, error) from error
        async with response:
            yield response

    def _context(self, host: str) -> ssl.SSLContext:
        """Return how TLS is done with a host: the system's CAs and those of `certs_dir/HOST`."""
        known = self._contexts.get(host)
        if known is None:
            known = self._contexts[host] = ssl.create_default_context()
            folder = Path(self._settings.certs_dir) / host
            for file in sorted(folder.glob("*.crt")) if folder.is_dir() else ():
                known.load_verify_locations(file)
            if self.is_insecure(host):
                known.check_hostname = False
                known.verify_mode = ssl.CERT_NONE
        return known


class Unreachable(RegistryUnavailable):
    """There is no connection to be had."""

    def __init__(self, host: str, error: OSError) -> None:
        super().__init__(
            f"the registry {host} cannot be reached: {error.strerror or error}",
            what="registry",
            which=host,
            do="check its name and the network, then try again",
        )
        self.reason = RegistryUnavailable.reason


class _WrongScheme(RegistryUnavailable):
    """The host answers, but not by this scheme."""

    def __init__(self, message: str, host: str) -> None:
        super().__init__(
            message,
            what="registry",
            which=host,
            do="check its certificate, or list it in image.insecure_registries",
        )
        self.reason = RegistryUnavailable.reason


def _unreachable(host: str, error: Exception) -> tuple[str, str]:
    return f"the registry {host} cannot be spoken to: {error or type(error).__name__}", host


def unavailable(host: str, error: BaseException) -> RegistryUnavailable:
    """Return the error of a registry that cannot be reached or stalls."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        why = "it did not answer in time"
    else:
        why = str(error) or type(error).__name__
    return RegistryUnavailable(
        f"the registry {host} cannot be reached: {why}",
        what="registry",
        which=host,
        do="check its name and the network, then try again",
    )


def _proxy(url: str, host: str) -> str | None:
    """Return the environment's proxy for a URL (HTTPS_PROXY, HTTP_PROXY, NO_PROXY); loopback has none."""
    if _is_loopback(hostname(host)) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(url.partition(":")[0])


def hostname(host: str) -> str:
    """Return "HOST" of "HOST:PORT" or "[ADDRESS]:PORT"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
