"""Further processes in containers. In this API one is asked for first, and started by another request."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import (
    CommandNotFound,
    ContainerNotRunning,
    ContainerPaused,
    ExecNotFound,
    FailedPrecondition,
    InvalidArgument,
    ScowError,
)
from scow.docker.answers import answer, empty
from scow.docker.connection import STDOUT, take_over, taken_over
from scow.docker.failures import words
from scow.docker.fields import body_of
from scow.docker.state import CLIENT, OPENED, Execution
from scow.docker.streams import carry, size_of
from scow.words.template.values import NIL, Struct

if TYPE_CHECKING:
    from scow.client import AsyncClient, AsyncExecution


async def _create(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    container = await request.app[CLIENT].containers.get(request.match_info["name"])
    if container.status == pb.STATUS_PAUSED:
        raise ContainerPaused(
            f"Container {container.name} is paused, unpause the container before exec",
            what="container",
            which=container.id,
        )
    if container.status != pb.STATUS_RUNNING:
        raise ContainerNotRunning(
            f"container {container.id} is not running", what="container", which=container.id
        )
    if not body.words("Cmd"):
        raise InvalidArgument("no exec command specified", what="command")
    execution = Execution(secrets.token_hex(32), container.id, body)
    request.app[OPENED].add_execution(execution)
    return answer(Struct(Id=execution.id), 201)


async def _start(request: web.Request) -> web.StreamResponse:
    execution = _find(request)
    body = await body_of(request)
    if execution.started:
        raise FailedPrecondition(
            f"exec {execution.id} has started already", what="exec", which=execution.id
        )
    execution.started = True
    client = request.app[CLIENT]
    if body.flag("Detach"):
        session = await _open(client, execution, detach=True)
        await session.close()
        return empty(200)
    # The head goes first, as from Docker's daemon: some clients lose output that comes in one piece with it.
    with await take_over(request, raw=execution.asked.flag("Tty")) as connection:
        try:
            session = execution.session = await _open(client, execution, detach=False)
        except ScowError as error:
            text = f"OCI runtime exec failed: exec failed: {words(error)}\r\n"
            await connection.send(STDOUT, text.encode())
            return taken_over(request)
        try:
            await carry(connection, session, stdin=execution.asked.flag("AttachStdin"))
        finally:
            execution.session, execution.code = None, session.exit_code
    return taken_over(request)


async def _open(client: AsyncClient, execution: Execution, *, detach: bool) -> AsyncExecution:
    asked = execution.asked
    try:
        session = await client.containers.open_exec(
            execution.container,
            asked.words("Cmd"),
            env=asked.texts("Env"),
            working_dir=asked.text("WorkingDir"),
            user=asked.text("User"),
            tty=asked.flag("Tty"),
            privileged=asked.flag("Privileged"),
            stdin=asked.flag("AttachStdin") and not detach,
            detach=detach,
        )
    except ScowError as error:
        execution.code = 127 if isinstance(error, CommandNotFound) else 126
        raise
    execution.exec_id = session.exec_id
    return session


async def _inspect(request: web.Request) -> web.StreamResponse:
    execution = _find(request)
    asked, code, pid, running = execution.asked, execution.code, 0, False
    if execution.exec_id and code is None:
        found = await request.app[CLIENT].containers.get_exec(
            execution.container, execution.exec_id
        )
        running, pid = found.running, found.pid
        code = None if running else found.exit_code
    command = asked.words("Cmd")
    return answer(
        Struct(
            ID=execution.id,
            Running=running,
            ExitCode=NIL if code is None else code,
            ProcessConfig=Struct(
                tty=asked.flag("Tty"),
                entrypoint=command[0],
                arguments=command[1:],
                privileged=asked.flag("Privileged"),
                user=asked.text("User"),
            ),
            OpenStdin=asked.flag("AttachStdin"),
            OpenStderr=asked.flag("AttachStderr"),
            OpenStdout=asked.flag("AttachStdout"),
            CanRemove=code is not None,
            ContainerID=execution.container,
            DetachKeys="",
            Pid=pid,
        )
    )


async def _resize(request: web.Request) -> web.StreamResponse:
    execution = _find(request)
    if execution.session is not None:
        await execution.session.resize(*size_of(request))
    return empty(200)


def _find(request: web.Request) -> Execution:
    name = request.match_info["name"]
    found = request.app[OPENED].executions.get(name)
    if found is None:
        raise ExecNotFound(f"No such exec instance: {name}", what="exec", which=name)
    return found


ROUTES = (
    ("POST", "/containers/{name}/exec", _create),
    ("POST", "/exec/{name}/start", _start),
    ("POST", "/exec/{name}/resize", _resize),
    ("GET", "/exec/{name}/json", _inspect),
)
