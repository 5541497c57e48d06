"""HTTP to registries: TLS, plain HTTP where it is allowed, proxies, redirects, and errors with names.

What is secret stays where it belongs: neither the Authorization header, nor an endpoint's headers, nor its client
certificate follow a redirect to another origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import weakref
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import aiohttp
from yarl import URL

from scow.contract.errors import RegistryUnavailable
from scow.core.config import ImageSection
from scow.core.download import proxy_for
from scow.core.loopback import is_loopback
from scow.image.oci.reference import host_of
from scow.image.registry_client.endpoints import Endpoint, hostname
from scow.image.registry_client.errors import Unreachable, WrongScheme, unavailable
from scow.image.registry_client.tls import Contexts

_USER_AGENT = "scow/0.1"
_REDIRECTS_MAX = 8
# Bytes of an answer that may wait to be read; with fewer, a fast connection is stopped and started all the time.
_READ_BUFFER = 1 << 19
# With these a method other than GET and HEAD may be repeated elsewhere (RFC 9110, 15.4).
_SAME_METHOD = (307, 308)
_REDIRECTS = (301, 302, 303, *_SAME_METHOD)
Body = bytes | aiohttp.Payload | Mapping[str, str] | None


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        endpoint: Whose TLS and headers are used.
        method: "GET", ...
        url: Complete.
        headers: Without Authorization.
        authorization: The Authorization header, or nothing.
        body: Bytes, a payload that can be written again, or the fields of a form.
    """

    endpoint: Endpoint
    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str = ""
    body: Body = None


class Http:
    """One session for all registries.

    Args:
        settings: The service's section of the configuration.
    """

    def __init__(self, settings: ImageSection) -> None:
        self._settings = settings
        self._schemes: dict[str, str] = {}
        self._contexts = Contexts(settings.certs_dir)
        # Of hosts that are being asked: redirects may lead to ever new ones.
        self._slots: weakref.WeakValueDictionary[str, asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )
        self._limits = {
            host_of(domain): section.max_connections
            for domain, section in settings.registries.items()
            if section.max_connections
        }
        self._session = aiohttp.ClientSession(
            auto_decompress=False,  # bytes are verified as they were sent
            # Encoded for the way, bytes would have another digest.
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def is_insecure(self, host: str) -> bool:
        """Tell whether plain HTTP and unknown certificates are allowed for "HOST[:PORT]".

        They are for what is listed, and on the loopback interface, unless the host has a CA of its own.
        """
        name = hostname(host)
        listed = self._settings.insecure_registries
        if host in listed or name in listed:
            return True
        return is_loopback(name) and not self._contexts.has_ca(host)

    def in_time(self) -> asyncio.Timeout:
        """Return what ends the reading of a document that comes in drops, with TimeoutError."""
        return asyncio.timeout(self._settings.document_seconds)

    @contextlib.asynccontextmanager
    async def ask(
        self, endpoint: Endpoint, path: str, request: Request
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to a path of an endpoint, by the scheme that it speaks.

        Args:
            endpoint: Who is asked.
            path: From the host on, "/v2/...".
            request: The rest; its `url` does not count.

        Raises:
            RegistryUnavailable: It cannot be reached, stalls, or its certificate is not trusted.
        """
        schemes = self._candidates(endpoint)
        for number, scheme in enumerate(schemes, 1):
            url = URL(f"{scheme}://{endpoint.host}{path}", encoded=True)
            try:
                async with self.send(replace(request, url=url)) as response:
                    if not (scheme == "http" and response.status == 400 and number < len(schemes)):
                        self._schemes[endpoint.host] = scheme
                        yield response
                        return
                    # What speaks TLS says so of a plain request; or it is the answer, and is asked for again.
                    schemes.append("http")
            except WrongScheme:
                if number == len(schemes):
                    raise

    def _candidates(self, endpoint: Endpoint) -> list[str]:
        if endpoint.scheme:
            return [endpoint.scheme]
        if not self.is_insecure(
            endpoint.host
        ):  # also when a CA came after it was spoken to in the clear
            return ["https"]
        if known := self._schemes.get(endpoint.host):
            return [known]
        # A loopback registry is nearly always plain: asking that first saves a failed handshake.
        plain_first = is_loopback(hostname(endpoint.host))
        return ["http", "https"] if plain_first else ["https", "http"]

    @contextlib.asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; follow redirects, without what is secret when they lead to another origin.

        Raises:
            RegistryUnavailable: As of `ask`; also for redirects without end, and to where it is less secure.
        """
        for _ in range(_REDIRECTS_MAX):
            async with self._slot(request.endpoint.host), self._once(request) as response:
                target = _target(response)
                if target is None:
                    yield response
                    return
            request = self._redirected(request, target)
        raise unavailable(request.endpoint.host, RuntimeError("it redirects without end"))

    def _redirected(self, request: Request, target: URL) -> Request:
        host = request.endpoint.host
        if target.scheme not in ("https", "http") or not target.host:
            raise unavailable(host, RuntimeError(f"it redirects to {str(target)!r}"))
        if target.origin() == request.url.origin():
            return replace(request, url=target)
        endpoint = elsewhere(target)
        lowered = request.url.scheme == "https" and target.scheme == "http"
        both = self.is_insecure(host) and self.is_insecure(endpoint.host)
        # The form that an identity token is exchanged with is as secret as a header.
        if (lowered and not both) or isinstance(request.body, Mapping):
            raise RegistryUnavailable(
                f"the registry {host} redirects to {target.origin()}, which is not secure",
                what="registry",
                which=host,
                do="tell who runs it, or list both hosts in image.insecure_registries",
            )
        return replace(request, url=target, endpoint=endpoint, authorization="")

    def _slot(self, host: str) -> asyncio.Semaphore:
        """Return what limits the requests to a host at once."""
        slot = self._slots.get(host)
        if slot is None:
            limit = self._limits.get(host, self._settings.max_connections_per_host)
            slot = self._slots[host] = asyncio.Semaphore(max(1, limit))
        return slot

    @contextlib.asynccontextmanager
    async def _once(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        host = request.endpoint.host
        headers = {**dict(request.endpoint.headers), **request.headers}
        if request.authorization:
            headers["Authorization"] = request.authorization
        secure = request.url.scheme == "https"
        # An upload's answer comes after its last byte.
        patience = self.in_time() if request.body is None else asyncio.timeout(None)
        try:
            async with patience:
                response = await self._session.request(
                    request.method,
                    request.url,
                    headers=headers,
                    data=request.body,
                    allow_redirects=False,
                    ssl=self._context(request.endpoint) if secure else True,
                    proxy=proxy_for(request.url.scheme, hostname(host)),
                    timeout=self._timeout(request),
                )
        except aiohttp.ClientSSLError as error:
            raise WrongScheme(host, error) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError) as error:
            if host in self._schemes:  # it has spoken this before
                raise unavailable(host, error) from error
            raise WrongScheme(host, error) from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(host, error.os_error) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise unavailable(host, error) from error
        async with response:
            yield response

    def _context(self, endpoint: Endpoint) -> ssl.SSLContext:
        verify = not self.is_insecure(endpoint.host)
        return self._contexts.get(endpoint.host, endpoint.tls, verify=verify)

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        endpoint = request.endpoint
        connect, read = self._settings.connect_seconds, self._settings.stall_seconds
        if not endpoint.is_origin and endpoint.namespace:
            connect = min(connect, self._settings.mirror_connect_seconds)
        connect = endpoint.connect_seconds or connect
        if request.method not in ("GET", "HEAD"):
            # A registry may read a blob again before it says that it has it.
            read = max(read, self._settings.document_seconds)
        return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def elsewhere(url: URL) -> Endpoint:
    """Return the endpoint of a URL that a registry told, about which nothing is configured."""
    host = url.host_subcomponent or ""
    return Endpoint(host if url.is_default_port() else f"{host}:{url.port}", url.scheme)


def located(location: str, base: URL, endpoint: Endpoint) -> URL:
    """Return the URL of a Location header.

    Registries behind a proxy that does TLS may give their own host with the wrong scheme: it is the right host's.

    Raises:
        RegistryUnavailable: It is none.
    """
    try:
        plain = location.isascii() and location.isprintable() and " " not in location
        url = base.join(URL(location, encoded=plain))
        found = elsewhere(url).host
    except (ValueError, IndexError) as error:  # yarl raises the latter for a lone "["
        raise unavailable(endpoint.host, error) from error
    if url.scheme == "http" and base.scheme == "https" and hostname(found) == base.host:
        same_port = url.explicit_port in (None, 80, base.port)
        return url.with_scheme("https").with_port(base.explicit_port) if same_port else url
    return url


def _target(response: aiohttp.ClientResponse) -> URL | None:
    """Return where a redirect leads, or None."""
    location = response.headers.get("Location", "")
    if response.status not in _REDIRECTS or not location:
        return None
    if response.method not in ("GET", "HEAD") and response.status not in _SAME_METHOD:
        return None
    try:
        return located(location, response.url, elsewhere(response.url))
    except ValueError as error:
        raise unavailable(response.url.host or "", error) from error
