"""Builds, as clients of the classic builder ask for them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from scow.api.build.v1 import build_pb2 as pb
from scow.contract.errors import InvalidArgument, ScowError, Unimplemented
from scow.docker.answers import Messages, answer
from scow.docker.auth import auths_of
from scow.docker.bodies import Body
from scow.docker.configuration import platform_of
from scow.docker.failures import words
from scow.docker.fields import query_filters, query_flag, query_number
from scow.docker.state import CLIENT
from scow.words.references import familiar
from scow.words.template.values import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import BinaryIO

# "[build 2/5] RUN make"
_STEP = re.compile(r"\[(?:[^\]]* )?(\d+)/(\d+)\] (.*)", re.DOTALL)
_BUILDKIT = "2"


async def _build(request: web.Request) -> web.StreamResponse:
    query = request.query
    if query.get("version") == _BUILDKIT:
        raise Unimplemented(
            "builds with BuildKit's protocol are not served",
            do="set DOCKER_BUILDKIT=0, or use scow build",
        )
    options = _options(request)
    archives: dict[str, BinaryIO] = {}
    if remote := query.get("remote", ""):
        options.contexts.add(url=remote)
    else:
        archives[""] = cast("BinaryIO", Body(request))
    auths, messages = auths_of(request), Messages(request)
    building = request.app[CLIENT].builds.build_progress(
        options, {}, archives=archives, auth=auths.get
    )
    try:
        async with building:
            await _tell(building, messages, quiet=query_flag(request, "q"))
    except ScowError as error:
        if not messages.begun and "exit_code" not in error.metadata:
            raise
        await messages.send(errorDetail=_detail(error), error=words(error))
    return await messages.end()


def _detail(error: ScowError) -> Struct:
    code = error.metadata.get("exit_code", "")
    detail = Struct(message=words(error))
    return Struct({"code": int(code), **detail}) if code.isascii() and code.isdigit() else detail


def _options(request: web.Request) -> pb.BuildOptions:
    query = request.query
    options = pb.BuildOptions(
        dockerfile_path=query.get("dockerfile", "") or "Dockerfile",
        target=query.get("target", ""),
        build_args=_mapping(request, "buildargs"),
        labels=_mapping(request, "labels"),
        tags=query.getall("t", []),
        no_cache=query_flag(request, "nocache"),
        pull=query_flag(request, "pull"),
        network=query.get("networkmode", ""),
        extra_hosts=[each for each in query.get("extrahosts", "").split(",") if each],
        shm_size=query_number(request, "shmsize"),
        memory=query_number(request, "memory"),
        memory_swap=query_number(request, "memswap"),
        cpu_shares=query_number(request, "cpushares"),
        cpu_quota=query_number(request, "cpuquota"),
        cpuset_cpus=query.get("cpusetcpus", ""),
        cgroup_parent=query.get("cgroupparent", ""),
        squash=query_flag(request, "squash"),
        ulimits=_ulimits(request),
    )
    if platform := query.get("platform", ""):
        options.platforms.append(platform_of(platform))
    return options


def _mapping(request: web.Request, key: str) -> Mapping[str, str]:
    """Return strings by string; null is a variable that is left as it is."""
    found = _json(request, key, dict)
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _ulimits(request: web.Request) -> list[pb.Ulimit]:
    try:
        return [
            pb.Ulimit(name=each["Name"], soft=each["Soft"], hard=each["Hard"])
            for each in _json(request, "ulimits", list)
        ]
    except (TypeError, KeyError, ValueError):
        raise InvalidArgument("invalid ulimits", what="parameter", which="ulimits") from None


def _json(request: web.Request, key: str, kind: type) -> Any:
    text = request.query.get(key, "")
    if not text:
        return kind()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = ()
    found = kind() if found is None else found
    if not isinstance(found, kind):
        raise InvalidArgument(f"invalid {key}", what="parameter", which=key)
    return found


async def _tell(
    building: AsyncIterator[pb.BuildResponse], messages: Messages, *, quiet: bool
) -> None:
    told: set[str] = set()
    async for response in building:
        if response.HasField("result"):
            await _tell_result(response.result, messages, quiet=quiet)
        if quiet or not response.HasField("event"):
            continue
        event = response.event
        kind = event.WhichOneof("event")
        if kind == "vertex" and event.vertex.id not in told and event.vertex.HasField("started_at"):
            told.add(event.vertex.id)
            if step := _STEP.fullmatch(event.vertex.name):
                await messages.send(stream=f"Step {step[1]}/{step[2]} : {step[3]}\n")
        elif kind == "vertex" and event.vertex.cached:
            await messages.send(stream=" ---> Using cache\n")
        elif kind == "log":
            await messages.send(stream=event.log.data.decode("utf-8", "replace"))
        elif kind == "warning":
            await messages.send(stream=f"[Warning] {event.warning.message}\n")


async def _tell_result(result: pb.BuildResult, messages: Messages, *, quiet: bool) -> None:
    image = result.images[0].image_id if result.images else ""
    if quiet:
        await messages.send(stream=f"{image}\n")
        return
    await messages.send(aux=Struct(ID=image))
    await messages.send(stream=f"Successfully built {image.partition(':')[2][:12]}\n")
    for reference in result.references:
        await messages.send(stream=f"Successfully tagged {familiar(reference)}\n")


async def _prune(request: web.Request) -> web.StreamResponse:
    done = await request.app[CLIENT].builds.prune(
        all=query_flag(request, "all"),
        filters=query_filters(request),
        keep_size=query_number(request, "keep-storage"),
    )
    gone = [each.id for each in done.removed]
    return answer(Struct(CachesDeleted=gone or None, SpaceReclaimed=done.space_reclaimed))


ROUTES = (("POST", "/build", _build), ("POST", "/build/prune", _prune))
