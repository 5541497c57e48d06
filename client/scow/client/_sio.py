"""The transport of the sync client: grpc's blocking calls. Its twin is `_aio`, with the same names."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from queue import Full, Queue, SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from scow.client._link import WireError
from scow.contract.channel import channel_options
from scow.contract.errors import DETAILS_KEY

if TYPE_CHECKING:
    from grpc import _CallIterator as CallIterator

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


def _wire_error(error: grpc.RpcError) -> WireError:
    assert isinstance(error, grpc.Call)
    details = dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    raw = details if isinstance(details, bytes) else details.encode()
    code: int = error.code().value[0]
    return WireError(code, error.details() or "", raw)


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def read(file: Readable, size: int) -> bytes:
    """Read up to `size` bytes of a file."""
    return file.read(size)


def write(file: BinaryIO, data: bytes) -> None:
    """Write to a file."""
    file.write(data)


def following(items: Iterator[T]) -> T | None:
    """Return the next item; None at the end."""
    return next(items, None)


def sync(file: BinaryIO) -> None:
    """Bring what was written to a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


class Incoming(Generic[R]):
    """The responses of a streaming call."""

    def __init__(self, call: CallIterator[R]) -> None:
        self._call = call

    def receive(self) -> R | None:
        """Return the next response, or None at the end."""
        try:
            return next(self._call, None)
        except grpc.RpcError as error:
            raise _wire_error(error) from error

    def cancel(self) -> None:
        """End the call; without effect on one that has ended."""
        self._call.cancel()


class Merge(Generic[J]):
    """The items of several streams as they come, each with its stream's name. Each is read in a thread.

    Args:
        streams: By name.
    """

    def __init__(self, streams: Mapping[str, Iterator[J]]) -> None:
        self._queue: Queue[tuple[str, J | BaseException | None]] = Queue(_AHEAD)
        self._closed = False
        for each in streams.items():
            threading.Thread(target=self._pump, args=each, daemon=True).start()

    def _pump(self, name: str, items: Iterator[J]) -> None:
        end: BaseException | None = None
        try:
            for item in items:
                self._put(name, item)
        except BaseException as error:  # noqa: BLE001  raised where the items are taken
            end = error
        self._put(name, end)

    def _put(self, name: str, item: J | BaseException | None) -> None:
        while not self._closed:
            with contextlib.suppress(Full):
                self._queue.put((name, item), timeout=1.0)
                return

    def receive(self) -> tuple[str, J | None]:
        """Return the next item of any stream; None is the end of one.

        Raises:
            Exception: What a stream raised.
        """
        name, item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return name, item

    def close(self) -> None:
        """Take no more; the threads end with their streams."""
        self._closed = True


class Duplex(Generic[R]):
    """A call with streams in both directions; requests may come from another thread than receives."""

    def __init__(self, call: grpc.StreamStreamMultiCallable[Message, R]) -> None:
        self._requests: SimpleQueue[Message | None] = SimpleQueue()
        self._start = call
        self._call: CallIterator[R] | None = None

    def open(self, timeout: float | None, data: Metadata) -> None:
        """Begin the call."""
        requests: Iterator[Message] = iter(self._requests.get, None)
        self._call = self._start(requests, timeout=timeout, metadata=data)

    def send(self, request: Message) -> None:
        """Send a request. One that comes too late is dropped: the responses tell the outcome."""
        self._requests.put(request)

    def finish(self) -> None:
        """Say that no request follows."""
        self._requests.put(None)

    def receive(self) -> R | None:
        """Return the next response, or None at the end."""
        assert self._call is not None
        try:
            response = next(self._call, None)
        except grpc.RpcError as error:
            self.finish()
            raise _wire_error(error) from error
        if response is None:
            self.finish()
        return response

    def cancel(self) -> None:
        """End the call; without effect on one that has ended."""
        assert self._call is not None
        self.finish()
        self._call.cancel()


class Transport:
    """A channel to one socket, opened with the first call.

    Args:
        path: The socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: grpc.Channel | None = None

    @property
    def _channel(self) -> grpc.Channel:
        if self._opened is None:
            self._opened = grpc.insecure_channel(
                f"unix://{self._path}", channel_options("scow-client")
            )
        return self._opened

    def unary(
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
            return call(request, timeout=timeout, metadata=data)
        except grpc.RpcError as error:
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
        requests: Iterator[Message],
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> Incoming[R]:
        """Make a call with many requests and many responses."""
        call: grpc.StreamStreamMultiCallable[Message, R] = self._channel.stream_stream(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return Incoming(call(requests, timeout=timeout, metadata=data))

    def upload(
        self,
        method: str,
        requests: Iterator[Message],
        response: type[R],
        timeout: float | None,
        data: Metadata,
    ) -> R:
        """Make a call with many requests and one response."""
        call: grpc.StreamUnaryMultiCallable[Message, R] = self._channel.stream_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            return call(requests, timeout=timeout, metadata=data)
        except grpc.RpcError as error:
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
        duplex: Duplex[R] = Duplex(call)
        duplex.open(timeout, data)
        return duplex

    def close(self) -> None:
        """Close the channel; calls under way end."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
