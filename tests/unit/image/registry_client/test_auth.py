from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from scow.contract.errors import RegistryUnavailable
from scow.image.registry_client.auth import Authorizer, Challenge, Who, parse_challenge
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.endpoints import Endpoint
from scow.image.registry_client.http import Http, Request


def test_bearer() -> None:
    header = (
        'Bearer realm="https://auth.example/token",service="reg, istry",scope="repository:a:pull"'
    )
    challenge = parse_challenge(header)
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {
        "realm": "https://auth.example/token",
        "service": "reg, istry",
        "scope": "repository:a:pull",
    }


def test_basic_without_quotes() -> None:
    assert parse_challenge("BASIC realm=x").parameters == {"realm": "x"}


def test_nothing() -> None:
    assert parse_challenge("").scheme == ""


class RemoteManifests:
    """Counts what is asked of it; its answers are tokens."""

    def __init__(self, expires_in: float) -> None:
        self.asked: list[Request] = []
        self._expires_in = expires_in

    def is_insecure(self, host: str) -> bool:
        return False

    def in_time(self) -> asyncio.Timeout:
        return asyncio.timeout(None)

    @contextlib.asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Any]:
        self.asked.append(request)
        number = len(self.asked)
        content = json.dumps({"token": f"t{number}", "expires_in": self._expires_in}).encode()

        class Content:
            async def iter_any(self) -> AsyncIterator[bytes]:
                await asyncio.sleep(0)
                yield content

        class Answer:
            status = 200

        answer: Any = Answer()
        answer.content = Content()
        yield answer


REALM = Challenge("bearer", {"realm": "https://auth.example/token?a=b", "service": "s"})
WHO = Who(Endpoint("r.example"), Credentials("me", "word"), ("repository:x:pull",))


async def test_tokens_are_kept_by_scope_and_renewed_when_they_end() -> None:
    http, now = RemoteManifests(100), 0.0
    authorizer = Authorizer(cast(Http, http), lambda: now)
    assert await authorizer.header(WHO) == ""
    assert await authorizer.answer(WHO, REALM) == "Bearer t1"
    now = 79.0
    assert await authorizer.header(WHO) == "Bearer t1"
    now = 81.0
    assert await authorizer.header(WHO) == "Bearer t2", "it is renewed before it is refused"
    other = replace(WHO, scopes=("repository:x:pull,push", "repository:y:pull"))
    assert await authorizer.header(other) == "Bearer t3"
    url = http.asked[-1].url
    assert url.host == "auth.example"
    assert url.query.getall("scope") == list(other.scopes)
    assert (url.query["a"], url.query["service"], url.query["account"]) == ("b", "s", "me")


async def test_one_token_for_all_who_were_refused_at_once() -> None:
    http = RemoteManifests(100)
    authorizer = Authorizer(cast(Http, http))
    headers = await asyncio.gather(*(authorizer.answer(WHO, REALM) for _ in range(5)))
    assert headers == ["Bearer t1"] * 5
    assert await authorizer.answer(WHO, REALM, refused="Bearer t1") == "Bearer t2"


@pytest.mark.parametrize(
    "realm",
    [
        "http://r.example/token",
        "https://me@evil/token",
        "ftp://x/token",
        "//x/token",
        "https://",
        "https://[/",
        "file:///etc/passwd",
    ],
)
async def test_realm_tricks(realm: str) -> None:
    http = RemoteManifests(100)
    with pytest.raises(RegistryUnavailable, match="not secure"):
        await Authorizer(cast(Http, http)).answer(WHO, Challenge("bearer", {"realm": realm}))
    assert not http.asked
