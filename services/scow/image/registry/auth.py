"""Authorization at registries: basic, and bearer tokens as the distribution project describes them.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from scow.api.image.v1.image_pb2 import Auth
from scow.core.errors import RegistryDenied, RegistryUnavailable
from scow.image.registry.http import Http, hostname, unavailable

_PARAMETER = re.compile(r'([a-zA-Z_]+)=(?:"([^"]*)"|([^\s,"]+))')
_DEFAULT_SECONDS = 60
_TOKEN_MAX = 1 << 20
_REFRESH = {"grant_type": "refresh_token", "client_id": "scow"}
_REFUSED = frozenset((400, 401, 403, 404, 405))


@dataclass(frozen=True)
class Challenge:
    """A WWW-Authenticate header: scheme in lower case, parameters."""

    scheme: str
    parameters: dict[str, str]


def parse_challenge(header: str) -> Challenge:
    """Read a WWW-Authenticate header."""
    scheme, _, rest = header.strip().partition(" ")
    parameters = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), parameters)


class Authorizer:
    """Gives the Authorization header for requests, and learns from what registries ask for."""

    def __init__(self, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._clock = clock
        # (host, repository, who) -> (header, end of its validity)
        self._known: dict[tuple[str, str, str], tuple[str, float]] = {}

    def header(self, host: str, repository: str, auth: Auth) -> str:
        """Return the header that was good last time, or nothing."""
        header, until = self._known.get(_key(host, repository, auth), ("", 0.0))
        return header if self._clock() < until else ""

    async def answer(self, host: str, repository: str, auth: Auth, challenge: Challenge) -> str:
        """Return the header that meets a challenge.

        Raises:
            RegistryDenied: It cannot be met, or the credentials were refused.
            RegistryUnavailable: Whoever gives out tokens cannot be reached.
        """
        seconds = float("inf")
        if challenge.scheme == "basic" and auth.username:
            header = _basic(auth)
        elif challenge.scheme == "bearer" and auth.token and not challenge.parameters.get("realm"):
            header = f"Bearer {auth.token}"
        elif challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            header, seconds = await self._token(host, repository, auth, challenge)
        else:
            raise denied(host, repository, auth)
        self._known[_key(host, repository, auth)] = (header, self._clock() + seconds)
        return header

    def forget(self, host: str, repository: str, auth: Auth) -> None:
        """Drop what was refused."""
        self._known.pop(_key(host, repository, auth), None)

    async def _token(
        self, host: str, repository: str, auth: Auth, challenge: Challenge
    ) -> tuple[str, float]:
        realm = self._check_realm(host, challenge.parameters["realm"])
        query = {"scope": f"repository:{repository}:pull"}
        if "service" in challenge.parameters:
            query["service"] = challenge.parameters["service"]
        headers = {"Authorization": _basic(auth)} if auth.username else {}
        form = None
        url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        if auth.token:  # an identity token is exchanged for a bearer token (OAuth 2)
            url, form = realm, {**query, **_REFRESH, "refresh_token": auth.token}
        netloc = urllib.parse.urlsplit(realm).netloc
        async with self._http.open(url, headers, netloc, form) as response:
            if response.status in _REFUSED and auth.token:
                return f"Bearer {auth.token}", float("inf")  # then it is a bearer token itself
            if response.status in _REFUSED:
                raise denied(host, repository, auth)
            if response.status != 200:
                raise unavailable(realm, RuntimeError(f"HTTP status {response.status}"))
            body = await _body(response, realm)
        try:
            value = json.loads(body)
            token = value.get("token") or value["access_token"]
            seconds = float(value.get("expires_in") or _DEFAULT_SECONDS)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise unavailable(realm, RuntimeError("its answer holds no token")) from error
        return f"Bearer {token}", seconds * 0.8

    def _check_realm(self, host: str, realm: str) -> str:
        """Refuse a realm that would carry credentials in the clear, unless the registry is that insecure itself."""
        parts = urllib.parse.urlsplit(realm)
        secure = parts.scheme == "https"
        trusted = self._http.is_insecure(host) and self._http.is_insecure(parts.netloc)
        if not hostname(parts.netloc) or not (secure or (parts.scheme == "http" and trusted)):
            raise RegistryUnavailable(
                f"the registry {host} asks for tokens from {realm}, which is not secure",
                what="registry",
                which=host,
                do="tell who runs it, or list both hosts in image.insecure_registries",
            )
        return realm


async def _body(response: aiohttp.ClientResponse, realm: str) -> bytes:
    data = bytearray()
    try:
        async for piece in response.content.iter_any():
            data += piece
            if len(data) > _TOKEN_MAX:
                raise unavailable(realm, RuntimeError("its answer has no end"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unavailable(realm, error) from error
    return bytes(data)


def _key(host: str, repository: str, auth: Auth) -> tuple[str, str, str]:
    who = f"{auth.username}\0{auth.password}\0{auth.token}"
    return host, repository, who


def _basic(auth: Auth) -> str:
    pair = f"{auth.username}:{auth.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def denied(host: str, repository: str, auth: Auth) -> RegistryDenied:
    """Return the error of refused or missing credentials."""
    given = auth.username or auth.token
    why = "refused the credentials" if given else "wants credentials"
    do = "check them" if given else "give a user name and password"
    return RegistryDenied(
        f"the registry {host} {why} for {repository}",
        what="repository",
        which=f"{host}/{repository}",
        do=f"{do}, and check that the repository exists",
    )
