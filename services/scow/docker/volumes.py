"""Volumes."""

from __future__ import annotations

from aiohttp import web

from scow.docker.answers import answer, empty
from scow.docker.fields import body_of, query_filters, query_flag
from scow.docker.state import CLIENT
from scow.words.shapes.volume import volume_shape
from scow.words.template.values import NilList, Struct


async def _list(request: web.Request) -> web.StreamResponse:
    found = await request.app[CLIENT].volumes.list(filters=query_filters(request))
    return answer(Struct(Volumes=[volume_shape(each) for each in found], Warnings=NilList()))


async def _inspect(request: web.Request) -> web.StreamResponse:
    return answer(volume_shape(await request.app[CLIENT].volumes.get(request.match_info["name"])))


async def _create(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    made = await request.app[CLIENT].volumes.create(
        body.text("Name"),
        driver=body.text("Driver"),
        labels=body.mapping("Labels"),
        options=body.mapping("DriverOpts"),
    )
    return answer(volume_shape(made), 201)


async def _remove(request: web.Request) -> web.StreamResponse:
    await request.app[CLIENT].volumes.remove(
        request.match_info["name"], force=query_flag(request, "force")
    )
    return empty()


async def _prune(request: web.Request) -> web.StreamResponse:
    filters = query_filters(request)
    # Before 1.42 those with names were pruned too.
    named = request["version"] < (1, 42) or "all" in filters
    done = await request.app[CLIENT].volumes.prune(named=named, filters=filters)
    return answer(Struct(VolumesDeleted=list(done.removed), SpaceReclaimed=done.size))


ROUTES = (
    ("GET", "/volumes", _list),
    ("POST", "/volumes/create", _create),
    ("POST", "/volumes/prune", _prune),
    ("GET", "/volumes/{name}", _inspect),
    ("DELETE", "/volumes/{name}", _remove),
)
