"""Containers: lists, what one is, and the steps of its life."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from aiohttp import web

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import (
    ContainerNotFound,
    InvalidArgument,
    ScowError,
)
from scow.docker.answers import Messages, answer, empty
from scow.docker.configuration import configuration, restart_policy
from scow.docker.fields import body_of, query_filters, query_flag, query_number
from scow.docker.resources import resources
from scow.docker.state import CLIENT, OPENED
from scow.docker.streams import attach, attach_waiting, logs, resize
from scow.words.shapes.container import container_shape, needs_image
from scow.words.shapes.stats import stats_shape
from scow.words.shapes.summary import container_summary
from scow.words.template.values import Struct

_CONDITIONS = {
    "": pb.WAIT_CONDITION_NOT_RUNNING,
    "not-running": pb.WAIT_CONDITION_NOT_RUNNING,
    "next-exit": pb.WAIT_CONDITION_NEXT_EXIT,
    "removed": pb.WAIT_CONDITION_REMOVED,
}
_OF_ALL = ("status", "exited")


async def _list(request: web.Request) -> web.StreamResponse:
    filters = query_filters(request)
    limit = query_number(request, "limit")
    every = query_flag(request, "all") or limit > 0 or any(key in filters for key in _OF_ALL)
    containers = request.app[CLIENT].containers
    found = await containers.list(all=every, filters=filters, limit=max(limit, 0))
    now, summaries = time.time_ns(), []
    for container in found:
        summary = container_summary(container, now)
        if query_flag(request, "size"):
            try:
                sized = await containers.get_with_size(container.id)
            except ContainerNotFound:  # removed in the meantime
                continue
            summary |= {"SizeRw": sized.size_rw, "SizeRootFs": sized.size_root_fs}
        summaries.append(summary)
    return answer(summaries)


async def _inspect(request: web.Request) -> web.StreamResponse:
    client, name = request.app[CLIENT], request.match_info["name"]
    sized = query_flag(request, "size")
    found = await client.containers.get_with_size(name, size=sized)
    container, image = found.container, None
    if needs_image(container):
        try:
            image = await client.images.get(container.image_id)
        except ScowError:
            image = None
    shape = container_shape(container, image)
    if sized:
        shape |= {"SizeRw": found.size_rw, "SizeRootFs": found.size_root_fs}
    return answer(shape)


async def _create(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    config = configuration(body, platform=request.query.get("platform", ""))
    if not config.image:
        raise InvalidArgument("no image specified", what="image", do="name one")
    containers = request.app[CLIENT].containers
    name = request.query.get("name", "").removeprefix("/")
    made = await containers.create_from(config, name=name)
    return answer(Struct(Id=made.container.id, Warnings=list(made.warnings)), 201)


async def _start(request: web.Request) -> web.StreamResponse:
    client, name = request.app[CLIENT], request.match_info["name"]
    container = await client.containers.get(name)
    if container.status in (pb.STATUS_RUNNING, pb.STATUS_PAUSED):
        return empty(304)
    waiting = request.app[OPENED].waiting.pop(container.id, [])
    if waiting:
        await attach_waiting(client, container.id, waiting)
    else:
        await client.containers.start(container.id)
    return empty()


async def _stop(request: web.Request) -> web.StreamResponse:
    client, name = request.app[CLIENT], request.match_info["name"]
    container = await client.containers.get(name)
    if container.status not in (pb.STATUS_RUNNING, pb.STATUS_PAUSED):
        return empty(304)
    await client.containers.stop(container.id, **_grace(request))
    return empty()


async def _restart(request: web.Request) -> web.StreamResponse:
    await request.app[CLIENT].containers.restart(request.match_info["name"], **_grace(request))
    return empty()


def _grace(request: web.Request) -> Any:
    grace = query_number(request, "t") if request.query.get("t") else None
    return {"grace": grace, "signal": request.query.get("signal", "")}


async def _kill(request: web.Request) -> web.StreamResponse:
    signal = request.query.get("signal", "")
    await request.app[CLIENT].containers.kill(request.match_info["name"], signal)
    return empty()


async def _pause(request: web.Request) -> web.StreamResponse:
    await request.app[CLIENT].containers.pause(request.match_info["name"])
    return empty()


async def _unpause(request: web.Request) -> web.StreamResponse:
    await request.app[CLIENT].containers.unpause(request.match_info["name"])
    return empty()


async def _rename(request: web.Request) -> web.StreamResponse:
    name = request.query.get("name", "")
    await request.app[CLIENT].containers.rename(request.match_info["name"], name)
    return empty()


async def _remove(request: web.Request) -> web.StreamResponse:
    containers = request.app[CLIENT].containers
    await containers.remove(
        request.match_info["name"],
        force=query_flag(request, "force"),
        volumes=query_flag(request, "v"),
    )
    return empty()


async def _wait(request: web.Request) -> web.StreamResponse:
    """Answer when the condition is met; the head comes at once: clients start the container after it."""
    containers, word = request.app[CLIENT].containers, request.query.get("condition", "")
    if word not in _CONDITIONS:
        raise InvalidArgument(f"invalid condition: {word!r}", what="condition", which=word)
    container = await containers.get(request.match_info["name"])
    waiting = asyncio.ensure_future(containers.wait(container.id, _CONDITIONS[word]))
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    try:
        await response.prepare(request)
        try:
            ended = await waiting
            shape = Struct(StatusCode=ended.exit_code)
        except ContainerNotFound:
            shape = Struct(StatusCode=0)
        except ScowError as error:
            shape = Struct(StatusCode=125, Error=Struct(Message=str(error)))
    finally:
        waiting.cancel()
    await response.write(answer(shape).body)  # type: ignore[arg-type]
    return response


async def _top(request: web.Request) -> web.StreamResponse:
    arguments = request.query.get("ps_args", "").split()
    found = await request.app[CLIENT].containers.top(request.match_info["name"], arguments)
    processes = [list(each.values) for each in found.processes]
    return answer(Struct(Titles=list(found.titles), Processes=processes))


async def _update(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    policy = restart_policy(body.part("RestartPolicy")) if "RestartPolicy" in body else None
    done = await request.app[CLIENT].containers.update(
        request.match_info["name"], resources(body), restart_policy=policy
    )
    return answer(Struct(Warnings=list(done.warnings)))


async def _stats(request: web.Request) -> web.StreamResponse:
    containers, name = request.app[CLIENT].containers, request.match_info["name"]
    processors = os.cpu_count() or 1
    container = await containers.get(name)
    if not query_flag(request, "stream", True) or query_flag(request, "one-shot"):
        (found,) = await containers.stats(container.id)
        return answer(stats_shape(found, processors))
    messages = await Messages(request).begin()
    async with containers.stats_stream(container.id) as stream:
        async for message in stream:
            if not message.containers:
                break
            await messages.send(**stats_shape(message.containers[0], processors))
    return await messages.end()


async def _prune(request: web.Request) -> web.StreamResponse:
    done = await request.app[CLIENT].containers.prune(filters=query_filters(request))
    return answer(
        Struct(ContainersDeleted=done.removed or None, SpaceReclaimed=done.space_reclaimed)
    )


async def _export(request: web.Request) -> web.StreamResponse:
    stream = request.app[CLIENT].containers.export_stream(request.match_info["name"])
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    async with stream:
        async for piece in stream:
            if not response.prepared:
                await response.prepare(request)
            await response.write(piece.chunk)
    await response.write_eof()
    return response


async def _commit(request: web.Request) -> web.StreamResponse:
    query = request.query
    repository, tag = query.get("repo", ""), query.get("tag", "")
    changes = query.getall("changes", [])
    image = await request.app[CLIENT].containers.commit(
        query.get("container", ""),
        f"{repository}:{tag}" if repository and tag else repository,
        message=query.get("comment", ""),
        author=query.get("author", ""),
        changes=[line for text in changes for line in text.split("\n") if line.strip()],
        pause=query_flag(request, "pause", True),
    )
    return answer(Struct(Id=image), 201)


ROUTES = (
    ("GET", "/containers/json", _list),
    ("POST", "/containers/create", _create),
    ("POST", "/commit", _commit),
    ("POST", "/containers/prune", _prune),
    ("POST", "/containers/{name}/update", _update),
    ("GET", "/containers/{name}/stats", _stats),
    ("GET", "/containers/{name}/json", _inspect),
    ("GET", "/containers/{name}/top", _top),
    ("GET", "/containers/{name}/logs", logs),
    ("GET", "/containers/{name}/export", _export),
    ("POST", "/containers/{name}/start", _start),
    ("POST", "/containers/{name}/stop", _stop),
    ("POST", "/containers/{name}/restart", _restart),
    ("POST", "/containers/{name}/kill", _kill),
    ("POST", "/containers/{name}/pause", _pause),
    ("POST", "/containers/{name}/unpause", _unpause),
    ("POST", "/containers/{name}/rename", _rename),
    ("POST", "/containers/{name}/wait", _wait),
    ("POST", "/containers/{name}/attach", attach),
    ("POST", "/containers/{name}/resize", resize),
    ("DELETE", "/containers/{name}", _remove),
)
