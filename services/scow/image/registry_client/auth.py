"""Authorization at registries: basic, and bearer tokens as the distribution project describes them.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import asyncio
import re
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from scow.contract import strict_json
from scow.contract.errors import RegistryUnavailable
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.endpoints import Endpoint
from scow.image.registry_client.errors import denied, unavailable
from scow.image.registry_client.http import Http, Request, elsewhere

_PARAMETER = re.compile(r'([a-zA-Z_]+)=(?:"([^"]*)"|([^\s,"]+))')
_DEFAULT_SECONDS = 60
# Of a token's life, the part in which it is used: what is begun with it must come to the registry in time.
_USED_PART = 0.8
_TOKEN_MAX = 1 << 20
# What a header takes.
_TOKEN = re.compile(r"[!-~]+")
_REFRESH = {"grant_type": "refresh_token", "client_id": "scow"}
_REFUSED = frozenset((400, 401, 403, 404, 405))
Scopes = tuple[str, ...]


def repository_scope(repository: str, *actions: str) -> str:
    """Return the scope of actions ("pull", "push") on a repository."""
    return f"repository:{repository}:{','.join(actions)}"


CATALOGUE_SCOPE = "registry:catalog:*"


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


@dataclass(frozen=True)
class Who:
    """For whom and for what an authorization is."""

    endpoint: Endpoint
    credentials: Credentials
    scopes: Scopes
    # What messages call it.
    name: str = ""
    # Ask for an identity token too, to be kept instead of the password.
    offline: bool = False

    @property
    def key(self) -> tuple[str, str, Credentials, Scopes]:
        """What it is cached by."""
        return self.endpoint.scheme, self.endpoint.host, self.credentials, self.scopes


class Authorizer:
    """Gives the Authorization header for requests, and learns from what registries ask for."""

    def __init__(self, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._clock = clock
        # The header and the end of its validity.
        self._known: dict[object, tuple[str, float]] = {}
        self._locks: weakref.WeakValueDictionary[object, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )
        self._identity_tokens: dict[object, str] = {}
        # What a registry asked for last: with it a token that ends is renewed before a request is refused.
        self._asked: dict[tuple[str, str], Challenge] = {}

    async def header(self, who: Who) -> str:
        """Return the header that will be good, as far as it is known; or nothing.

        Raises:
            RegistryDenied, RegistryUnavailable: As of `answer`.
        """
        header, until = self._known.get(who.key, ("", 0.0))
        if self._clock() < until:
            return header
        challenge = self._asked.get(who.key[:2])
        if challenge is None or (challenge.scheme == "basic" and not who.credentials):
            return ""
        return await self.answer(who, challenge)

    async def answer(self, who: Who, challenge: Challenge, refused: str = "") -> str:
        """Return the header that meets a challenge.

        Args:
            who: For whom and what.
            challenge: What the registry asks for.
            refused: The header that it did not take.

        Raises:
            RegistryDenied: It cannot be met, or the credentials were refused.
            RegistryUnavailable: Whoever gives out tokens cannot be reached.
        """
        async with self._locks.setdefault(who.key, asyncio.Lock()):
            # Of several requests that were refused at once, the first one gets the token for all.
            header, until = self._known.get(who.key, ("", 0.0))
            if header and header != refused and self._clock() < until:
                return header
            return await self._answer(who, challenge)

    async def _answer(self, who: Who, challenge: Challenge) -> str:
        seconds = float("inf")
        realm = challenge.parameters.get("realm", "")
        if challenge.scheme == "basic" and who.credentials.username:
            header = who.credentials.basic()
        elif challenge.scheme == "bearer" and who.credentials.token and not realm:
            header = f"Bearer {who.credentials.token}"
        elif challenge.scheme == "bearer" and realm:
            header, seconds = await self._token(who, challenge)
        else:
            raise _denied(who)
        self._drop_old()
        self._asked[who.key[:2]] = challenge
        self._known[who.key] = (header, self._clock() + seconds)
        return header

    def identity_token(self, who: Who) -> str:
        """Return the identity token that came with the last token, where one was asked for and given."""
        return self._identity_tokens.pop(who.key, "")

    def forget(self, who: Who) -> None:
        """Drop what was refused."""
        self._known.pop(who.key, None)
        self._asked.pop(who.key[:2], None)

    def _drop_old(self) -> None:
        now = self._clock()
        self._known = {key: known for key, known in self._known.items() if known[1] > now}

    async def _token(self, who: Who, challenge: Challenge) -> tuple[str, float]:
        credentials = who.credentials
        realm = self._check_realm(who.endpoint.host, challenge.parameters["realm"])
        request = _token_request(realm, who, challenge.parameters.get("service", ""))
        async with self._http.send(request) as response:
            if response.status in _REFUSED and credentials.token:
                # Then it is a bearer token itself.
                return f"Bearer {credentials.token}", float("inf")
            if response.status in _REFUSED:
                raise _denied(who)
            if response.status != 200:
                raise unavailable(str(realm), RuntimeError(f"HTTP status {response.status}"))
            body = await self._body(response, str(realm))
        try:
            value = strict_json.loads(body)
            token = value.get("token") or value["access_token"]
            seconds = float(value.get("expires_in") or _DEFAULT_SECONDS)
            if not _TOKEN.fullmatch(token):
                raise ValueError("token")
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            raise unavailable(str(realm), RuntimeError("its answer holds no token")) from error
        if who.offline and isinstance(value.get("refresh_token"), str):
            self._identity_tokens[who.key] = value["refresh_token"]
        return f"Bearer {token}", seconds * _USED_PART

    async def _body(self, response: aiohttp.ClientResponse, realm: str) -> bytes:
        data = bytearray()
        try:
            async with self._http.in_time():
                async for piece in response.content.iter_any():
                    data += piece
                    if len(data) > _TOKEN_MAX:
                        raise unavailable(realm, RuntimeError("its answer has no end"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(realm, error) from error
        return bytes(data)

    def _check_realm(self, host: str, realm: str) -> URL:
        """Refuse a realm that would carry credentials in the clear, unless the registry is that insecure itself."""
        try:
            url = URL(realm)
            secure = url.scheme == "https"
            trusted = self._http.is_insecure(host) and self._http.is_insecure(elsewhere(url).host)
            fits = bool(url.host) and url.user is None and url.password is None
        except (ValueError, IndexError):
            fits = secure = trusted = False
        if not fits or not (secure or (url.scheme == "http" and trusted)):
            raise RegistryUnavailable(
                f"the registry {host} asks for tokens from {realm}, which is not secure",
                what="registry",
                which=host,
                do="tell who runs it, or list both hosts in image.insecure_registries",
            )
        return url


def _token_request(realm: URL, who: Who, service: str) -> Request:
    """Return the request for a token: an identity token is exchanged (OAuth 2), a password is shown."""
    endpoint = who.endpoint if _is_at(realm, who.endpoint) else elsewhere(realm)
    told = {"service": service} if service else {}
    if who.credentials.token:
        form = {**_REFRESH, **told, "refresh_token": who.credentials.token}
        if who.scopes:
            form["scope"] = " ".join(who.scopes)
        return Request(endpoint, "POST", realm, body=form)
    query = [*realm.query.items(), *(("scope", scope) for scope in who.scopes), *told.items()]
    if who.credentials.username:
        query.append(("account", who.credentials.username))
    if who.offline:
        query += [("offline_token", "true"), ("client_id", "scow")]
    return Request(endpoint, "GET", realm.with_query(query), authorization=who.credentials.basic())


def _is_at(url: URL, endpoint: Endpoint) -> bool:
    return elsewhere(url).host == endpoint.host


def _denied(who: Who) -> Exception:
    return denied(who.endpoint.host, who.name, given=bool(who.credentials))
