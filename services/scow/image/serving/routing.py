"""Routes, and what goes around every request: who asks, errors in the specification's form, a line in the log."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from scow.core.actor import current_actor
from scow.core.errors import ScowError
from scow.image.serving.access import ANONYMOUS
from scow.image.serving.authorization import Authorization, Caller
from scow.image.serving.blobs import BlobHandlers
from scow.image.serving.catalogue import CatalogueHandlers
from scow.image.serving.doors import Doors
from scow.image.serving.manifests import ManifestHandlers
from scow.image.serving.refusals import Refusal, refusal_of
from scow.image.serving.registry import CALLER
from scow.image.serving.traffic import Traffic
from scow.image.serving.uploading import UploadHandlers

Observe = Callable[[str, int, float], None]
# Of the forms that clients send for a token.
_FORM_BYTES = 64 << 10
_log = structlog.get_logger()


def make_application(
    authorization: Authorization,
    blobs: BlobHandlers,
    uploads: UploadHandlers,
    manifests: ManifestHandlers,
    catalogue: CatalogueHandlers,
    traffic: Traffic,
    doors: Doors,
    observe: Observe | None,
) -> web.Application:
    """Return the application.

    Args:
        authorization: Who decides on requests.
        blobs: Answer.
        uploads: Answer.
        manifests: Answer.
        catalogue: Answer.
        traffic: Told of requests that begin and end.
        doors: Told of connections that ask.
        observe: Told method, status and seconds of each request.
    """

    async def ping(request: web.Request) -> web.Response:
        authorization.check_login(request, request[CALLER])
        return web.json_response({})

    app = web.Application(
        middlewares=[_around(_Around(authorization, observe), traffic, doors)],
        client_max_size=_FORM_BYTES,
    )
    app.on_response_prepare.append(_say_version)
    name = "/v2/{name:.+}"
    app.router.add_get("/v2", ping)
    app.router.add_get("/v2/", ping)
    app.router.add_get("/token", authorization.token)
    app.router.add_post("/token", authorization.token)
    app.router.add_get("/v2/_catalog", catalogue.repositories)
    app.router.add_get(f"{name}/tags/list", catalogue.tags)
    app.router.add_get(f"{name}/referrers/{{digest}}", catalogue.referrers)
    for path in (f"{name}/blobs/uploads", f"{name}/blobs/uploads/"):
        app.router.add_post(path, uploads.begin)
    upload = app.router.add_resource(f"{name}/blobs/uploads/{{upload}}")
    upload.add_route("GET", uploads.status)
    upload.add_route("PATCH", uploads.append)
    upload.add_route("PUT", uploads.finish)
    upload.add_route("DELETE", uploads.cancel)
    app.router.add_get(f"{name}/blobs/{{digest}}", blobs.read)
    app.router.add_delete(f"{name}/blobs/{{digest}}", blobs.delete)
    app.router.add_get(f"{name}/manifests/{{reference}}", manifests.read)
    app.router.add_put(f"{name}/manifests/{{reference}}", manifests.write)
    app.router.add_delete(f"{name}/manifests/{{reference}}", manifests.delete)
    return app


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
        # A login that fails is told by who gives tokens; what else is sent to it is no credential of ours.
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
