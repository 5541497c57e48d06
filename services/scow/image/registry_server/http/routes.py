"""Routes, and what goes around every request: who asks, errors in the specification's form, a line in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from scow.contract.errors import ScowError
from scow.core.actor import current_actor
from scow.image.registry_server.auth.access import ANONYMOUS
from scow.image.registry_server.auth.authorization import Authorization, Caller
from scow.image.registry_server.blobs import BlobHandlers
from scow.image.registry_server.catalogue import CatalogueHandlers
from scow.image.registry_server.http.connections import Doors
from scow.image.registry_server.http.errors import Refusal, refusal_of
from scow.image.registry_server.http.traffic import Traffic
from scow.image.registry_server.manifests import ManifestHandlers
from scow.image.registry_server.registry import CALLER
from scow.image.registry_server.upload_requests import UploadHandlers

Observe = Callable[[str, int, float], None]
_NAME = "/v2/{name:.+}"
_log = structlog.get_logger()


@dataclass(frozen=True)
class Handlers:
    """Who answers."""

    authorization: Authorization
    blobs: BlobHandlers
    uploads: UploadHandlers
    manifests: ManifestHandlers
    catalogue: CatalogueHandlers


def make_application(
    handlers: Handlers, traffic: Traffic, doors: Doors, observe: Observe | None
) -> web.Application:
    """Return the application.

    Args:
        handlers: Who answers.
        traffic: Told of requests that begin and end.
        doors: Told of connections that ask.
        observe: Told method, status and seconds of each request.
    """
    around = _around(_Around(handlers.authorization, observe), traffic, doors)
    app = web.Application(middlewares=[around])
    app.on_response_prepare.append(_say_version)
    _add_access(app.router, handlers.authorization)
    _add_content(app.router, handlers)
    _add_uploads(app.router, handlers.uploads)
    # After the uploads: "uploads" is not a digest.
    _add_blobs(app.router, handlers.blobs)
    return app


def _add_access(router: web.UrlDispatcher, authorization: Authorization) -> None:
    async def ping(request: web.Request) -> web.Response:
        authorization.check_login(request, request[CALLER])
        return web.json_response({})

    router.add_get("/v2", ping)
    router.add_get("/v2/", ping)
    router.add_get("/token", authorization.token)
    router.add_post("/token", authorization.token)


def _add_content(router: web.UrlDispatcher, handlers: Handlers) -> None:
    router.add_get("/v2/_catalog", handlers.catalogue.repositories)
    router.add_get(f"{_NAME}/tags/list", handlers.catalogue.tags)
    router.add_get(f"{_NAME}/referrers/{{digest}}", handlers.catalogue.referrers)
    router.add_get(f"{_NAME}/manifests/{{reference}}", handlers.manifests.read)
    router.add_put(f"{_NAME}/manifests/{{reference}}", handlers.manifests.write)
    router.add_delete(f"{_NAME}/manifests/{{reference}}", handlers.manifests.delete)


def _add_uploads(router: web.UrlDispatcher, uploads: UploadHandlers) -> None:
    for path in (f"{_NAME}/blobs/uploads", f"{_NAME}/blobs/uploads/"):
        router.add_post(path, uploads.begin)
    upload = f"{_NAME}/blobs/uploads/{{upload}}"
    router.add_get(upload, uploads.status, allow_head=False)
    router.add_patch(upload, uploads.append)
    router.add_put(upload, uploads.finish)
    router.add_delete(upload, uploads.cancel)


def _add_blobs(router: web.UrlDispatcher, blobs: BlobHandlers) -> None:
    router.add_get(f"{_NAME}/blobs/{{digest}}", blobs.read)
    router.add_delete(f"{_NAME}/blobs/{{digest}}", blobs.delete)


async def _say_version(_: web.Request, answer: web.StreamResponse) -> None:
    answer.headers["Docker-Distribution-Api-Version"] = "registry/2.0"


def _around(parts: _Around, traffic: Traffic, doors: Doors) -> Middleware:
    """Return the middleware."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        doors.asked(request.transport)
        with traffic.request():
            return await parts.serve(request, handler)

    return around


class _Around:
    """What goes around every request."""

    def __init__(self, authorization: Authorization, observe: Observe | None) -> None:
        self._authorization = authorization
        self._observe = observe

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.monotonic()
        status = 0
        try:
            answer = await self._answer(request, handler)
            status = answer.status
            return answer
        except (ConnectionError, TimeoutError) as error:
            # The client went away or stalls: nobody is there to be answered.
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client went away") from error
        finally:
            self._note(request, status, time.monotonic() - begun)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer: web.StreamResponse
        try:
            request[CALLER] = await self._caller(request)
            current_actor.set(f"registry/{request[CALLER].user or ANONYMOUS}")
            answer = await handler(request)
        except Refusal as refusal:
            answer = refusal.answer()
        except ScowError as error:
            answer = refusal_of(error).answer()
        except web.HTTPException as error:
            answer = _unrouted(error)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001  told in the log, and as the specification writes it
            _log.exception("registry request failed", path=request.path)
            answer = Refusal("UNKNOWN", "a defect of the registry: its log has more").answer()
        return answer

    async def _caller(self, request: web.Request) -> Caller:
        # A login that fails is told by who gives tokens; what else is sent to it is not a credential of ours.
        return Caller() if request.path == "/token" else await self._authorization.caller(request)

    def _note(self, request: web.Request, status: int, seconds: float) -> None:
        """Write the request's line; status 0 means that its client went away."""
        _log.info(
            "registry request",
            method=request.method,
            path=request.path,
            status=status,
            seconds=round(seconds, 4),
            remote=request.remote,
            user=request[CALLER].user if CALLER in request else "",
        )
        if self._observe is not None:
            self._observe(request.method, status, seconds)


def _unrouted(error: web.HTTPException) -> web.Response:
    """Return the answer to what no route or method takes."""
    refusal = Refusal("UNSUPPORTED", error.reason, status=error.status)
    if "Allow" in error.headers:
        refusal.headers["Allow"] = error.headers["Allow"]
    return refusal.answer()
