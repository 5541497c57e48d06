"""The transport of the async client: grpc.aio. Its twin for the sync client is `_sio`, with the same names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import BinaryIO, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from scow.client._link import WireError
from scow.contract.channel import channel_options
from scow.contract.errors import DETAILS_KEY

R = TypeVar("R", bound=Message)
T = TypeVar("T")
J = TypeVar("J")


class Readable(Protocol):
    """What is read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Return some bytes, none at the end."""


Metadata = tuple[tuple[str, str], ...]
# Items that streams which are merged may be ahead.
_AHEAD = 1000


def _wire_error(error: grpc.aio.AioRpcError) -> WireError:
    details = dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    raw = details if isinstance(details, bytes) else details.encode()
    code: int = error.code().value[0]
    return WireError(code, error.details() or "", raw)


async def pause(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)


async def read(file: Readable, size: int) -> bytes:
    """Read up to `size` bytes of a file, in a thread: the file may be a pipe or a slow disk."""
    return await asyncio.to_thread(file.read, size)


async def write(file: BinaryIO, data: bytes) -> None:
    """Write to a file, in a thread: the file may be a pipe or a slow disk."""
    await asyncio.to_thread(file.write, data)


async def following(items: Iterator[T]) -> T | None:
    """Return the next item, made in a thread because that may take its time; None at the end."""
    return await asyncio.to_thread(next, items, None)


async def sync(file: BinaryIO) -> None:
    """Bring what was written to a file to the disk, in a thread."""
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())


class Incoming(Generic[R]):
    """The responses of a streaming call."""

    def __init__(
        self, call: grpc.aio.UnaryStreamCall[Message, R] | grpc.aio.StreamStreamCall[Message, R]
    ) -> None:
        self._call = call

    async def receive(self) -> R | None:
        """Return the next response, or None at the end."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise _wire_error(error) from error
        return None if response is grpc.aio.EOF else response  # type: ignore[return-value]

    def cancel(self) -> None:
        """End the call; without effect on one that has ended."""
        self._call.cancel()


class Merge(Generic[J]):
    """The items of several streams as they come, each with its stream's name.

    Args:
        streams: By name.
    """

    def __init__(self, streams: Mapping[str, AsyncIterator[J]]) -> None:
        self._queue: asyncio.Queue[tuple[str, J | BaseException | None]] = asyncio.Queue(_AHEAD)
        self._tasks = [asyncio.ensure_future(self._pump(*each)) for each in streams.items()]

    async def _pump(self, name: str, items: AsyncIterator[J]) -> None:
        try:
            async for item in items:
                await self._queue.put((name, item))
        except Exception as error:  # noqa: BLE001  raised where the items are taken
            await self._queue.put((name, error))
        else:
            await self._queue.put((name, None))

    async def receive(self) -> tuple[str, J | None]:
        """Return the next item of any stream; None is the end of one.

        Raises:
            Exception: What a stream raised.
        """
        name, item = await self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return name, item

    async def close(self) -> None:
        """Take no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Duplex(Generic[R]):
    """A call with streams in both directions."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Message, R]) -> None:
        self._call = call

    async def send(self, request: Message) -> None:
        """Send a request. One that comes too late is dropped: the responses tell the outcome."""
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return

    async def finish(self) -> None:
        """Say that no request follows."""
        try:
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return

    async def receive(self) -> R | None:
        """Return the next response, or None at the end."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise _wire_error(error) from error
        return None if response is grpc.aio.EOF else response  # type: ignore[return-value]

    def cancel(self) -> None:
        """End the call; without effect on one that has ended."""
        self._call.cancel()


class Transport:
    """A channel to one socket, opened with the first call.

    Args:
        path: The socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: grpc.aio.Channel | None = None

    @property
    def _channel(self) -> grpc.aio.Channel:
        if self._opened is None:
            self._opened = grpc.aio.insecure_channel(
                f"unix://{self._path}", channel_options("scow-client")
            )
        return self._opened

    async def unary(
        self,
        method: str,
        request: Message,
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> R:
        """Make a call with one request and one response."""
        call = self._channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return await call(request, timeout=timeout, metadata=data)
        except grpc.aio.AioRpcError as error:
            raise _wire_error(error) from error

    def stream(
        self,
        method: str,
        request: Message,
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> Incoming[R]:
        """Make a call with one request and many responses."""
        call = self._channel.unary_stream(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return Incoming(call(request, timeout=timeout, metadata=data))

    def exchange(
        self,
        method: str,
        requests: AsyncIterator[Message],
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> Incoming[R]:
        """Make a call with many requests and many responses."""
        call: grpc.aio.StreamStreamMultiCallable[Message, R] = self._channel.stream_stream(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return Incoming(call(requests, timeout=timeout, metadata=data))

    async def upload(
        self,
        method: str,
        requests: AsyncIterator[Message],
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> R:
        """Make a call with many requests and one response."""
        call: grpc.aio.StreamUnaryMultiCallable[Message, R] = self._channel.stream_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            return await call(requests, timeout=timeout, metadata=data)
        except grpc.aio.AioRpcError as error:
            raise _wire_error(error) from error

    def duplex(
        self,
        method: str,
        request: type[Message],
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> Duplex[R]:
        """Make a call with streams in both directions."""
        call = self._channel.stream_stream(
            method,
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return Duplex(call(timeout=timeout, metadata=data))

    async def close(self) -> None:
        """Close the channel; calls under way end."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None
