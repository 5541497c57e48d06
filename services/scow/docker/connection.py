"""Connections that carry a container's streams once the request is read ("hijacked", in Docker's words)."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from typing import TYPE_CHECKING, Self

from aiohttp import web

from scow.contract.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE = 64 << 10
STDOUT, STDERR = 1, 2
_RAW = "application/vnd.docker.raw-stream"
_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


def frame(stream: int, data: bytes) -> bytes:
    """Return data with the header that tells the stream: its number, three zeros, the length."""
    return struct.pack(">BxxxL", stream, len(data)) + data


def content_type(request: web.Request, *, raw: bool) -> str:
    """Return the type of a stream, which clients know by name since 1.42."""
    return _RAW if raw or request["version"] < (1, 42) else _MULTIPLEXED


class _Early:
    """Takes what the client sent before the connection was taken over."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        pass


class Connection:
    """Bytes in both directions, each of which ends by itself.

    Args:
        opened: The socket.
        early: What was read from it already.
        raw: Output has no headers, as that of a terminal.
    """

    def __init__(self, opened: socket.socket, early: bytes, *, raw: bool) -> None:
        self._socket = opened
        self._early = early
        self._raw = raw
        self._loop = asyncio.get_running_loop()

    async def received(self) -> AsyncIterator[bytes]:
        """Yield what the client sends, until it ends its direction or is gone."""
        if self._early:
            yield self._early
        while True:
            try:
                data = await self._loop.sock_recv(self._socket, _PIECE)
            except OSError:
                return
            if not data:
                return
            yield data

    async def send(self, stream: int, data: bytes) -> None:
        """Send output.

        Raises:
            OSError: The client is gone.
        """
        await self._loop.sock_sendall(self._socket, data if self._raw else frame(stream, data))

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self._loop.sock_sendall(self._socket, data)

    async def gone(self) -> None:
        """Wait until the client has closed the connection, not only its own direction."""
        with select.epoll() as watch:
            watch.register(self._socket, 0)  # the kernel tells of hang-ups unasked
            happened = asyncio.Event()
            self._loop.add_reader(watch.fileno(), happened.set)
            try:
                await happened.wait()
            finally:
                self._loop.remove_reader(watch.fileno())

    def close(self) -> None:
        """End the connection, after what was sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def take_over(request: web.Request, *, raw: bool) -> Connection:
    """Answer a request, and take its connection over.

    The server's own transport closes a connection whose client has ended its input; so a second descriptor of the
    socket goes on, and the transport reads no more.

    Args:
        request: What was asked, and read.
        raw: Output has no headers, as that of a terminal.

    Raises:
        InvalidArgument: The client is gone, or the connection cannot be taken over.
    """
    transport = request.transport
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        raise InvalidArgument("the connection cannot carry streams", what="connection")
    early = _Early()
    if request.headers.get("Upgrade"):
        request.protocol.set_parser(early)  # type: ignore[arg-type]  # takes all with these methods
    transport.pause_reading()
    ours = socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno()))
    ours.setblocking(False)
    connection = Connection(ours, bytes(early.data), raw=raw)
    await connection.write(_head(request, raw))
    return connection


def _head(request: web.Request, raw: bool) -> bytes:
    lines = ["HTTP/1.1 200 OK"]
    if request.headers.get("Upgrade"):
        lines = ["HTTP/1.1 101 UPGRADED", "Connection: Upgrade", "Upgrade: tcp"]
    lines.append(f"Content-Type: {content_type(request, raw=raw)}")
    return "\r\n".join([*lines, "", ""]).encode()


def taken_over(request: web.Request) -> web.StreamResponse:
    """Return what a handler gives back whose connection was taken over and has ended."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
