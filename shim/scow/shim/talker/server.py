"""Calls from connections: frames in and out, and errors as they travel (see `scow.contract.frames`)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message

from scow.api.shim.v1 import shim_pb2 as pb
from scow.contract import frames
from scow.contract.errors import InvalidArgument, Unimplemented
from scow.shim.errors import from_exception

_QUEUED = 16  # messages of input that wait to be passed on; then the client's socket fills


class Stream:
    """The messages of one streaming call."""

    def __init__(self, writer: asyncio.StreamWriter, request: type[Message]) -> None:
        self._writer = writer
        self._request = request
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)

    async def put(self, data: bytes | None) -> None:
        """Queue a message that came; None after the last."""
        await self._incoming.put(data)

    async def receive(self) -> Any:
        """Return the client's next message; None when it sends no more.

        Raises:
            InvalidArgument, it is not a message of this method.
        """
        data = await self._incoming.get()
        return None if data is None else _decode(self._request, data)

    async def send(self, message: Message) -> None:
        """Send a message; waits while the client does not take them."""
        self._writer.write(frames.frame(frames.DATA, message.SerializeToString()))
        await self._writer.drain()


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the service: its handler, its request, and whether it is a stream."""

    handle: Callable[[Any], Awaitable[Message | None]]
    request: type[Message]
    streaming: bool = False


class Server:
    """Serves connections.

    Args:
        methods: By name.
        changed: Called when a connection has ended.
    """

    def __init__(self, methods: dict[str, Method], changed: Callable[[], None]) -> None:
        self._methods = methods
        self._changed = changed
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection from the queue and serve it; it is counted at once."""
        try:
            connection, _ = listener.accept()
        except (
            OSError
        ):  # nobody is there any more, or no more descriptors: who is in the queue waits
            return
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            await self._call(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # it went away, or sent what is not a call
        except Exception:  # noqa: BLE001 - one call's defect is not another's
            traceback.print_exc(file=sys.stderr)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.connections -= 1
            self._changed()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, data, _ = await _read(reader)
        if kind != frames.REQUEST:
            raise ValueError("a call begins with a request")
        call = pb.Call.FromString(data)
        method = self._methods.get(call.method)
        if method is None:
            text = f"the shim has no method {call.method!r}"
            error = Unimplemented(text, what="method")
            await _answer(writer, pb.Result(error=error.to_status()))
            return
        stream = Stream(writer, method.request)
        handling = asyncio.create_task(_handled(method, call.request, stream))
        listening = asyncio.create_task(_listen(reader, stream))
        try:
            await asyncio.wait((handling, listening), return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                handling.cancel()  # the client is gone
                await asyncio.wait((handling,))
                return
            await _answer(writer, handling.result())
        finally:
            listening.cancel()
            await asyncio.wait((listening,))


async def _listen(reader: asyncio.StreamReader, stream: Stream) -> None:
    """Queue what the client sends, until it is gone."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
        while True:
            kind, data, flags = await _read(reader)
            if kind != frames.DATA:
                return
            if not flags & frames.NO_DATA:
                await stream.put(data)
            if flags & frames.CLOSED:
                await stream.put(None)


async def _handled(method: Method, request: bytes, stream: Stream) -> pb.Result:
    try:
        if method.streaming:
            await method.handle(stream)
            return pb.Result()
        response = await method.handle(_decode(method.request, request))
        assert response is not None
        return pb.Result(response=response.SerializeToString())
    except Exception as error:  # noqa: BLE001 - whatever it is travels to who asked
        return pb.Result(error=from_exception(error, "serve the request").to_status())


async def _answer(writer: asyncio.StreamWriter, result: pb.Result) -> None:
    writer.write(frames.frame(frames.RESPONSE, result.SerializeToString()))
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes, int]:
    """Return the next frame's type, data and flags."""
    length, kind, flags = frames.parse_header(await reader.readexactly(frames.HEADER.size))
    return kind, await reader.readexactly(length), flags


def _decode(request: type[Message], data: bytes) -> Message:
    try:
        return request.FromString(data)
    except DecodeError as error:
        text = f"this is not a message {request.DESCRIPTOR.name}"
        raise InvalidArgument(text, what="message") from error
