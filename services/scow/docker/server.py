"""The routes, the versions of the API, and errors as Docker's clients know them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from scow.client import AsyncClient
from scow.contract.errors import ScowError
from scow.docker import builds, containers, engine, executions, files, images, networks, volumes
from scow.docker.failures import failure, status_of, words
from scow.docker.state import CLIENT, OPENED, Opened
from scow.docker.versions import API_VERSION, MIN_API_VERSION, text

_log = structlog.get_logger()
_VERSION = re.compile(r"/v(\d{1,3})\.(\d{1,3})(/.*)")
_SWARM = ("swarm", "nodes", "services", "tasks", "secrets", "configs")
_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(client: AsyncClient) -> web.Application:
    """Return the server's application.

    Args:
        client: Of the engine; it is closed with the application.
    """
    app = web.Application(middlewares=[_version, _errors], client_max_size=0)
    app[CLIENT], app[OPENED] = client, Opened()
    for module in (engine, containers, executions, files, images, networks, volumes, builds):
        for method, path, handler in module.ROUTES:
            app.router.add_route(method, path, handler)
            app.router.add_route(method, "/v{version:[0-9.]+}" + path, handler)
    for word in _SWARM:
        for prefix in ("", "/v{version:[0-9.]+}"):
            app.router.add_route("*", f"{prefix}/{word}{{rest:(/.*)?}}", _swarm)

    async def close(_: web.Application) -> None:
        await client.close()

    app.on_cleanup.append(close)
    return app


@web.middleware
async def _version(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Find the version of the API that a client speaks, and refuse one that this door does not."""
    found = _VERSION.match(request.path)
    version = (int(found[1]), int(found[2])) if found else API_VERSION
    request["version"] = version
    if version > API_VERSION:
        return failure(
            400,
            f"client version {text(version)} is too new. Maximum supported API version is "
            f"{text(API_VERSION)}",
        )
    if version < MIN_API_VERSION:
        return failure(
            400,
            f"client version {text(version)} is too old. Minimum supported API version is "
            f"{text(MIN_API_VERSION)}, please upgrade your client to a newer version",
        )
    with request.app[OPENED].request():
        response = await handler(request)
    if not response.prepared:
        response.headers.update(engine.HEADERS)
    return response


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return failure(404, "page not found")
    except web.HTTPMethodNotAllowed:
        return failure(405, "method not allowed")
    except web.HTTPException as error:
        return failure(error.status, error.text or error.reason)
    except ScowError as error:
        return failure(status_of(error), words(error))
    except ConnectionError:  # the client is gone
        return web.Response(status=499)
    except Exception as error:  # noqa: BLE001  whatever it is, the client gets an answer and the log has it
        _log.exception("request failed", method=request.method, path=request.path)
        return failure(500, f"internal error: {type(error).__name__}")


async def _swarm(_: web.Request) -> web.StreamResponse:
    return failure(503, _NO_SWARM)
