"""A session: one repository (or none) at one endpoint, with the credentials that are for that endpoint."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from yarl import URL

from scow.contract.errors import LimitExceeded, ScowError
from scow.core.config import ImageSection
from scow.image.registry_client.auth import (
    Authorizer,
    Scopes,
    Who,
    parse_challenge,
    repository_scope,
)
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.endpoints import Endpoint
from scow.image.registry_client.errors import of_answer, unavailable
from scow.image.registry_client.http import Body, Http, Request, elsewhere, located
from scow.image.registry_client.retry import patiently

CHUNK = 1 << 18
Result = TypeVar("Result")


@dataclass(frozen=True)
class Wire:
    """What all sessions share: HTTP, what is known of tokens, the configuration."""

    http: Http
    authorizer: Authorizer
    settings: ImageSection


class Session:
    """One repository at one endpoint.

    Args:
        wire: What all sessions share.
        endpoint: Who is asked.
        repository: "library/nginx"; empty for requests outside any repository.
        name: What messages call it, "docker.io/library/nginx:1".
        credentials: Those of the caller for this endpoint.
        patient: Try again after failures; otherwise the first one counts.
        offline: Ask for an identity token too.
    """

    def __init__(
        self,
        wire: Wire,
        endpoint: Endpoint,
        repository: str,
        name: str,
        credentials: Credentials,
        *,
        patient: bool = True,
        offline: bool = False,
    ) -> None:
        self.wire = wire
        self.endpoint = endpoint
        self.repository = endpoint.scoped(repository)
        self._path = repository
        self.name = name
        self._credentials = credentials
        self._patient = patient
        self._offline = offline

    @property
    def host(self) -> str:
        """Who is asked."""
        return self.endpoint.host

    def path(self, rest: str, **query: str) -> str:
        """Return a path below the repository: "manifests/1" as "/v2/library/nginx/manifests/1"."""
        return self.api(f"{self._path}/{rest}", **query)

    def api(self, rest: str, **query: str) -> str:
        """Return a path below the API: "_catalog" as "/v2/_catalog"."""
        if self.endpoint.namespace:
            query["ns"] = self.endpoint.namespace
        asked = f"?{urllib.parse.urlencode(query, safe='/:')}" if query else ""
        return f"{self.endpoint.base}/{rest}{asked}"

    def scopes(self, *actions: str) -> Scopes:
        """Return the scopes of actions on the repository."""
        return (repository_scope(self.repository, *actions),)

    def who(self, scopes: Scopes) -> Who:
        """Return for whom and for what an authorization is."""
        return Who(self.endpoint, self._credentials, scopes, self._path, self._offline)

    async def patiently(
        self, attempt: Callable[[], Awaitable[Result]], progress: Callable[[], int] = lambda: 0
    ) -> Result:
        """Try until it works, as long as the configuration says."""
        settings = self.wire.settings
        return await patiently(
            attempt,
            retries=settings.retries if self._patient else 0,
            longest_wait=settings.retry_after_max_seconds if self._patient else 0.0,
            progress=progress,
        )

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        where: str | URL,
        scopes: Scopes,
        *,
        kind: str = "repository",
        good: tuple[int, ...] = (200,),
        headers: Mapping[str, str] | None = None,
        body: Body = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, authorized when it goes to the endpoint itself.

        Args:
            method: "GET", ...
            where: A path, or the complete URL that the registry gave.
            scopes: What a token must allow.
            kind: What is asked for, for messages.
            good: The statuses that are not errors.
            headers: Of the request.
            body: Of the request.

        Raises:
            ComeBack: The registry asks to come back later.
            ScowError: It cannot be reached, or what the status means.
        """
        who = self.who(scopes)
        own = isinstance(where, str) or elsewhere(where).host == self.host
        known = await self.wire.authorizer.header(who) if own else ""
        endpoint = self.endpoint if own or isinstance(where, str) else elsewhere(where)
        plan = Request(endpoint, method, URL(), headers or {}, known, body)
        async with self._send(where, plan) as response:
            challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
            # Who a redirect led to is told nothing.
            asked_here = elsewhere(response.url).host == self.host
            if response.status != 401 or not own or not asked_here:
                await self._check(response, good, kind)
                yield response
                return
        header = await self.wire.authorizer.answer(who, challenge, refused=known)
        plan = Request(endpoint, method, URL(), headers or {}, header, body)
        async with self._send(where, plan) as response:
            if response.status == 401:
                self.wire.authorizer.forget(who)
            await self._check(response, good, kind)
            yield response

    @contextlib.asynccontextmanager
    async def _send(self, where: str | URL, plan: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        if isinstance(where, str):
            sending = self.wire.http.ask(self.endpoint, where, plan)
        else:
            sending = self.wire.http.send(
                Request(
                    plan.endpoint, plan.method, where, plan.headers, plan.authorization, plan.body
                )
            )
        async with sending as response:
            yield response

    async def _check(
        self, response: aiohttp.ClientResponse, good: tuple[int, ...], kind: str
    ) -> None:
        if response.status not in good:
            given = bool(self._credentials)
            raise await of_answer(self.host, self.name, kind, given, response)

    def location(self, response: aiohttp.ClientResponse) -> URL:
        """Return the URL of an answer's Location.

        Raises:
            RegistryUnavailable: There is none.
        """
        location = response.headers.get("Location", "")
        if not location:
            raise unavailable(self.host, RuntimeError("it does not tell where to upload to"))
        return self.link(location, response)

    def link(self, target: str, response: aiohttp.ClientResponse) -> URL:
        """Return the URL that an answer's header names, which may be relative.

        Raises:
            RegistryUnavailable: It is none that may be asked.
        """
        url = located(target, response.url, self.endpoint)
        http = self.wire.http
        lowered = response.url.scheme == "https" and url.scheme == "http"
        both = http.is_insecure(self.host) and http.is_insecure(elsewhere(url).host)
        if url.scheme not in ("http", "https") or not url.host or (lowered and not both):
            raise unavailable(self.host, RuntimeError(f"it leads to {str(url)!r}"))
        return url

    async def read(self, response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
        """Return the body.

        Raises:
            LimitExceeded: It has more bytes than that.
            RegistryUnavailable: It is cut.
        """
        data = bytearray()
        try:
            async with self.wire.http.in_time():
                async for piece in response.content.iter_chunked(CHUNK):
                    data += piece
                    if len(data) > limit:
                        raise self._too_much(what, limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(self.host, error) from error
        return bytes(data)

    def _too_much(self, what: str, limit: int) -> ScowError:
        return LimitExceeded(
            f"the {what} of {self.name} has more than {limit} bytes",
            what=what,
            which=self.name,
            do="raise the limit in the configuration's [image] section",
        )
