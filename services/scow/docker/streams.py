"""A container's streams: attach, resize and logs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import ContainerNotRunning, InvalidArgument, ScowError
from scow.docker.answers import empty
from scow.docker.connection import (
    STDERR,
    STDOUT,
    Connection,
    content_type,
    frame,
    take_over,
    taken_over,
)
from scow.docker.failures import words
from scow.docker.fields import query_flag, query_number, query_time
from scow.docker.state import CLIENT, OPENED, Waiting
from scow.words.shapes.container import log_details
from scow.words.times import format_time

if TYPE_CHECKING:
    from scow.client import AsyncAttachment, AsyncClient, AsyncExecution

    Session = AsyncAttachment | AsyncExecution

_RUNNING = (pb.STATUS_RUNNING, pb.STATUS_PAUSED)


async def attach(request: web.Request) -> web.StreamResponse:
    """Carry a container's streams; of one that does not run, from its start on."""
    client, opened = request.app[CLIENT], request.app[OPENED]
    container = await client.containers.get(request.match_info["name"])
    stdin, stdout, stderr = (query_flag(request, key) for key in ("stdin", "stdout", "stderr"))
    stdin = stdin and container.config.stdin_open
    waiting = None
    if container.status not in _RUNNING:
        session_later: asyncio.Future[AsyncAttachment] = asyncio.get_running_loop().create_future()
        waiting = Waiting(stdin, stdout, stderr, session_later)
        opened.waiting.setdefault(container.id, []).append(waiting)
    # The head goes first, as from Docker's daemon: some clients lose output that comes in one piece with it.
    with await take_over(request, raw=container.config.tty) as connection:
        try:
            if waiting is not None:
                started = await _started(request, container.id, connection, waiting)
                if started is None:
                    return taken_over(request)
                session = started
            else:
                session = await client.containers.attach(
                    container.id,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    logs=query_flag(request, "logs"),
                )
        except ScowError as error:
            if waiting is None:
                await connection.send(STDERR, f"{words(error)}\r\n".encode())
            return taken_over(request)
        finally:
            if waiting is not None:
                _leave(opened.waiting, container.id, waiting)
        sessions = opened.attached.setdefault(container.id, [])
        sessions.append(session)
        try:
            await carry(connection, session, stdin=stdin)
        finally:
            sessions.remove(session)
            if not sessions:
                opened.attached.pop(container.id, None)
    return taken_over(request)


async def _started(
    request: web.Request, container: str, connection: Connection, waiting: Waiting
) -> AsyncAttachment | None:
    """Return the session once the container was started; None when nobody waits for that any more."""
    client, opened = request.app[CLIENT], request.app[OPENED]
    leaving = asyncio.ensure_future(connection.gone())
    running = asyncio.ensure_future(client.containers.wait(container, pb.WAIT_CONDITION_RUNNING))
    try:
        either: list[asyncio.Future[Any]] = [leaving, running, waiting.session]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if running.done() and not leaving.done():
            await running  # it may have been removed
            if waiting in opened.waiting.get(container, ()):  # another client has started it
                return await client.containers.attach(
                    container,
                    stdin=waiting.stdin,
                    stdout=waiting.stdout,
                    stderr=waiting.stderr,
                    logs=True,
                )
            either.remove(running)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if waiting.session.done():
            return waiting.session.result()
        waiting.session.cancel()
        return None
    finally:
        leaving.cancel()
        running.cancel()


def _leave(waiting: dict[str, list[Waiting]], container: str, one: Waiting) -> None:
    found = waiting.get(container, [])
    if one in found:
        found.remove(one)
    if not found:
        waiting.pop(container, None)


async def attach_waiting(client: AsyncClient, container: str, waiting: list[Waiting]) -> None:
    """Start a container with those who wait for it attached, so that they miss nothing.

    Raises:
        ScowError: It cannot be started.
    """
    try:
        for number, one in enumerate(waiting):
            session = await client.containers.attach(
                container,
                stdin=one.stdin,
                stdout=one.stdout,
                stderr=one.stderr,
                start=number == 0,
                logs=number > 0,
            )
            if one.session.cancelled():
                await session.close()
            else:
                one.session.set_result(session)
    except ScowError as error:
        for one in waiting:
            if not one.session.done():
                one.session.set_exception(error)
                one.session.exception()  # somebody who has gone asks for it no more
        raise


async def carry(connection: Connection, session: Session, *, stdin: bool) -> None:
    """Carry bytes between a client and a process, until the process has ended or the client is gone."""
    feeding = asyncio.ensure_future(_feed(connection, session, stdin))
    try:
        async for output in session:
            if output.stdout:
                await connection.send(STDOUT, output.stdout)
            if output.stderr:
                await connection.send(STDERR, output.stderr)
    except OSError:
        pass
    finally:
        feeding.cancel()
        await session.close()


async def _feed(connection: Connection, session: Session, stdin: bool) -> None:
    """Send what the client sends; the end of it is the end of the process's input."""
    with contextlib.suppress(ScowError):
        async for data in connection.received():
            if stdin:
                await session.send(data)
        if stdin:
            await session.close_stdin()


async def resize(request: web.Request) -> web.StreamResponse:
    """Tell a container's terminal its size."""
    client, opened = request.app[CLIENT], request.app[OPENED]
    rows, columns = size_of(request)
    container = await client.containers.get(request.match_info["name"])
    if container.status not in _RUNNING:
        raise ContainerNotRunning(
            f"container {container.id} is not running", what="container", which=container.id
        )
    sessions = opened.attached.get(container.id)
    if sessions:
        await sessions[0].resize(rows, columns)
    else:
        async with await client.containers.attach(
            container.id, stdout=False, stderr=False
        ) as session:
            await session.resize(rows, columns)
    return empty(200)


def size_of(request: web.Request) -> tuple[int, int]:
    """Return rows and columns.

    Raises:
        InvalidArgument: They are not there, or no sizes.
    """
    rows, columns = query_number(request, "h"), query_number(request, "w")
    if not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
        raise InvalidArgument("invalid size of a terminal", what="size", which=f"{rows}x{columns}")
    return rows, columns


async def logs(request: web.Request) -> web.StreamResponse:
    """Send what a container wrote."""
    client = request.app[CLIENT]
    container = await client.containers.get(request.match_info["name"])
    stdout, stderr = query_flag(request, "stdout"), query_flag(request, "stderr")
    if not (stdout or stderr):
        raise InvalidArgument(
            "Bad parameters: you must choose at least one stream", what="parameter", which="stdout"
        )
    tail = request.query.get("tail", "all")
    found = client.containers.logs(
        container.id,
        follow=query_flag(request, "follow"),
        tail=int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 18 else None,
        since=query_time(request, "since"),
        until=query_time(request, "until"),
        stdout=stdout,
        stderr=stderr,
    )
    raw = container.config.tty
    response = web.StreamResponse(headers={"Content-Type": content_type(request, raw=raw)})
    timestamps = query_flag(request, "timestamps")
    details = log_details(container).encode() if query_flag(request, "details") else b""
    async with found:
        await response.prepare(request)
        async for batch in found.batches():
            for records in batch:
                await response.write(_written(records, raw, timestamps, details))
    await response.write_eof()
    return response


def _written(records: pb.LogRecords, raw: bool, timestamps: bool, details: bytes) -> bytes:
    """Return records as Docker sends them: a frame for each."""
    stream = STDERR if records.stderr else STDOUT
    if raw and not (timestamps or details):
        return bytes(records.data)
    pieces, start = [], 0
    for size, when in zip(records.sizes, records.times, strict=True):
        data = records.data[start : start + size]
        start += size
        data = details + data
        if timestamps:
            data = f"{format_time(when)} ".encode() + data
        pieces.append(data if raw else frame(stream, data))
    return b"".join(pieces)
