"""The engine: version, what the machine is, disk usage."""

from __future__ import annotations

import time

from aiohttp import web

from scow.api.container.v1 import container_pb2 as pb
from scow.docker.answers import Messages, answer
from scow.docker.fields import body_of, query_filters, query_time
from scow.docker.state import CLIENT
from scow.docker.versions import API_VERSION, MIN_API_VERSION, text
from scow.words.shapes.engine import info_shape, version_shape
from scow.words.shapes.event import event_shape
from scow.words.shapes.summary import container_summary, image_summary
from scow.words.shapes.volume import volume_shape
from scow.words.template.values import Struct
from scow.words.times import moment

HEADERS = {"Api-Version": text(API_VERSION), "Ostype": "linux", "Docker-Experimental": "false"}
# Of the classic builder: current clients ask for BuildKit where this says "2".
_BUILDER = "1"


async def _ping(request: web.Request) -> web.StreamResponse:
    headers = {"Builder-Version": _BUILDER, "Swarm": "inactive", "Cache-Control": "no-cache"}
    return web.Response(text="" if request.method == "HEAD" else "OK", headers=headers)


async def _version(request: web.Request) -> web.StreamResponse:
    client = request.app[CLIENT]
    health = await client.health()
    engine = await client.containers.info()
    server = version_shape(Struct(), engine, health)["Server"]
    versions = {"ApiVersion": text(API_VERSION), "MinAPIVersion": text(MIN_API_VERSION)}
    return answer(Struct(server | versions))


async def _info(request: web.Request) -> web.StreamResponse:
    client = request.app[CLIENT]
    states = [each.status for each in await client.containers.list(all=True)]
    running, paused = states.count(pb.STATUS_RUNNING), states.count(pb.STATUS_PAUSED)
    networks = await client.networks.list()
    return answer(
        info_shape(
            await client.containers.info(),
            await client.store.info(),
            running=running,
            paused=paused,
            stopped=len(states) - running - paused,
            images=len(await client.images.list()),
            network_drivers=sorted({each.driver for each in networks if each.driver}),
            now=moment(time.time_ns()),
        )
    )


async def _auth(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    token = await request.app[CLIENT].images.login(
        body.text("serveraddress"),
        username=body.text("username"),
        password=body.text("password"),
        token=body.text("identitytoken"),
    )
    return answer(Struct(Status="Login Succeeded", IdentityToken=token))


async def _disk_usage(request: web.Request) -> web.StreamResponse:
    client, now = request.app[CLIENT], time.time_ns()
    asked = request.query.getall("type", ["container", "image", "volume", "build-cache"])
    usage = await client.store.usage()
    sizes = {item.id: item.size for item in usage.items if item.kind == "snapshot"}
    shape = Struct(LayersSize=usage.images_size)
    if "image" in asked:
        found = await client.images.list(sizes=True)
        shape["Images"] = [image_summary(each, sizes=True) for each in found]
    if "container" in asked:
        shape["Containers"] = [
            container_summary(each, now) | {"SizeRw": sizes.get(f"container/{each.id}", 0)}
            for each in await client.containers.list(all=True)
        ]
    if "volume" in asked:
        bytes_of = await client.volumes.usage()
        shape["Volumes"] = [
            volume_shape(each)
            | {"UsageData": Struct(Size=bytes_of.get(each.name, 0), RefCount=len(each.owners))}
            for each in await client.volumes.list()
        ]
    if "build-cache" in asked:
        shape["BuildCache"] = []
    return answer(shape)


async def _events(request: web.Request) -> web.StreamResponse:
    filters = query_filters(request)
    events = request.app[CLIENT].events(
        since=query_time(request, "since"), until=query_time(request, "until"), filters=filters
    )
    messages = await Messages(request).begin()
    async with events:
        async for found in events:
            if found.event is not None:
                await messages.send(**event_shape(found.event))
    return await messages.end()


ROUTES = (
    ("GET", "/_ping", _ping),
    ("HEAD", "/_ping", _ping),
    ("GET", "/version", _version),
    ("GET", "/info", _info),
    ("POST", "/auth", _auth),
    ("GET", "/system/df", _disk_usage),
    ("GET", "/events", _events),
)
