"""What the server answers without any service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from scow.client import AsyncClient
from scow.docker.server import application

Answer = tuple[int, str]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A server whose services are not there, and a client of it."""
    client = AsyncClient(f"unix://{tmp_path}", patience=0.0)
    runner = web.AppRunner(application(client))
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "docker.sock")).start()
    connector = aiohttp.UnixConnector(str(tmp_path / "docker.sock"))
    async with aiohttp.ClientSession("http://docker", connector=connector) as session:
        yield session
    await runner.cleanup()


async def asked(session: aiohttp.ClientSession, method: str, path: str, **more: str) -> Answer:
    async with session.request(method, path, **more) as response:  # type: ignore[arg-type]
        text = await response.text()
        found = json.loads(text) if response.content_type == "application/json" else text
        return response.status, found["message"] if isinstance(found, dict) else found


async def test_a_ping_tells_the_version(server: aiohttp.ClientSession) -> None:
    for method, text in (("GET", "OK"), ("HEAD", "")):
        async with server.request(method, "/_ping") as response:
            assert (response.status, await response.text()) == (200, text)
            assert response.headers["Api-Version"] == "1.51"
            assert response.headers["Ostype"] == "linux"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1.52/_ping", 400, "client version 1.52 is too new. Maximum supported API"),
        ("GET", "/v1.23/_ping", 400, "client version 1.23 is too old. Minimum supported API"),
        ("GET", "/v1.24/_ping", 200, "OK"),
        ("GET", "/v1.51/nosuch", 404, "page not found"),
        ("GET", "/nosuch", 404, "page not found"),
        ("PUT", "/_ping", 405, "method not allowed"),
        ("GET", "/v1.40/services", 503, "This node is not a swarm manager."),
        ("POST", "/swarm/init", 503, "This node is not a swarm manager."),
        ("GET", "/containers/json?filters=x", 400, "invalid filters"),
        ("GET", "/containers/json?limit=x", 400, "invalid number"),
    ],
)
async def test_what_is_answered(
    server: aiohttp.ClientSession, method: str, path: str, status: int, message: str
) -> None:
    found = await asked(server, method, path)
    assert found[0] == status
    assert found[1].startswith(message)


@pytest.mark.parametrize("body", ["[", "[1]", "3", '{"Image": 1}', '{"HostConfig": []}', "\udcff"])
async def test_bodies_that_are_none(server: aiohttp.ClientSession, body: str) -> None:
    data = body.encode("utf-8", "surrogateescape")
    found = await asked(server, "POST", "/containers/create", data=data)  # type: ignore[arg-type]
    assert found[0] == 400


async def test_services_that_are_away(server: aiohttp.ClientSession) -> None:
    assert (await asked(server, "GET", "/containers/json"))[0] == 503
