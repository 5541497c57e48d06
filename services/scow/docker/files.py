"""The files of containers: what was changed, and copies in and out."""

from __future__ import annotations

import base64
import os
import stat
from typing import TYPE_CHECKING, cast

from aiohttp import web

from scow.api.types.v1.types_pb2 import FileChange
from scow.contract.errors import InvalidArgument
from scow.docker.answers import answer
from scow.docker.bodies import Body
from scow.docker.state import CLIENT
from scow.words.template.values import NilList, Struct, to_json
from scow.words.times import moment

if TYPE_CHECKING:
    from typing import BinaryIO

    from scow.api.container.v1.files_pb2 import PathStat

_KINDS = {
    FileChange.KIND_MODIFIED: 0,
    FileChange.KIND_ADDED: 1,
    FileChange.KIND_DELETED: 2,
}
# Go's bits of os.FileMode beyond the permissions.
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


async def _changes(request: web.Request) -> web.StreamResponse:
    found = await request.app[CLIENT].containers.diff(request.match_info["name"])
    changes = [Struct(Path=os.fsdecode(each.path), Kind=_KINDS[each.kind]) for each in found]
    return answer(changes or NilList())


async def _stat(request: web.Request) -> web.StreamResponse:
    containers = request.app[CLIENT].containers
    found = await containers.stat_path(request.match_info["name"], _path(request))
    return web.Response(headers=_header(found))


async def _get(request: web.Request) -> web.StreamResponse:
    containers = request.app[CLIENT].containers
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
    async with containers.copy_out_stream(request.match_info["name"], _path(request)) as messages:
        async for message in messages:
            if message.HasField("stat"):
                response.headers.update(_header(message.stat))
                await response.prepare(request)
            else:
                await response.write(message.chunk)
    await response.write_eof()
    return response


async def _put(request: web.Request) -> web.StreamResponse:
    source = cast("BinaryIO", Body(request))
    await request.app[CLIENT].containers.copy_in(request.match_info["name"], source, _path(request))
    return web.Response(status=200)


def _path(request: web.Request) -> str:
    path = request.query.get("path", "")
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty", what="parameter", which="path")
    return path


def _header(found: PathStat) -> dict[str, str]:
    shape = Struct(
        name=os.fsdecode(found.name),
        size=found.size,
        mode=go_mode(found.mode),
        mtime=moment(found.mtime_ns),
        linkTarget=os.fsdecode(found.link_target),
    )
    return {"X-Docker-Container-Path-Stat": base64.b64encode(to_json(shape).encode()).decode()}


def go_mode(mode: int) -> int:
    """Return a mode (inode(7)) as Go has it."""
    bits = sum(go for bit, go in _GO_BITS.items() if mode & bit)
    return mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0) | bits


ROUTES = (
    ("GET", "/containers/{name}/changes", _changes),
    ("HEAD", "/containers/{name}/archive", _stat),
    ("GET", "/containers/{name}/archive", _get),
    ("PUT", "/containers/{name}/archive", _put),
)
