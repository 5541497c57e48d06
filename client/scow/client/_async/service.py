"""How a method calls a service: deadline, retries, and the one seam where errors are raised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from scow.client._aio import Duplex, Transport, pause
from scow.client._async.stream import AsyncStream
from scow.client._link import Link, WireError
from scow.contract.errors import PermissionDenied

R = TypeVar("R", bound=Message)

# HealthCheckResponse{status: SERVING} in the wire format.
_SERVING = b"\x08\x01"


class AsyncService:
    """One service of the engine.

    Args:
        link: The engine.
        name: "container"; its socket and the package of its contract.
    """

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name
        self._transport = Transport(link.socket(name))

    def _path(self, method: str) -> str:
        """Return the full name of "Method", or of "OtherService/Method" in the same package."""
        own = "" if "/" in method else f"{self.name.capitalize()}Service/"
        return f"/scow.api.{self.name}.v1.{own}{method}"

    async def call(
        self, method: str, request: Message, response: type[R], timeout: float | None = None
    ) -> R:
        """Make a call with one request and one response.

        Every such call can be made again: it only reads, or it has a request id. So it waits for a
        service that is restarting, up to the link's patience.

        Args:
            method: Name of the method in the contract.
            request: Its request.
            response: The class of its response.
            timeout: Seconds for all attempts together; None means no limit.

        Raises:
            ScowError: What the service said.
        """
        patience = self.link.patience_of(timeout)
        while True:
            try:
                return await self._transport.unary(
                    self._path(method),
                    request,
                    response,
                    patience.remaining(),
                    self.link.metadata(),
                )
            except WireError as error:
                failure = self.link.translate(self.name, error)
            delay = patience.next() if self.link.worth_waiting(self.name, failure) else None
            if delay is None:
                raise failure
            await pause(delay)

    def stream(
        self,
        method: str,
        request: Message,
        response: type[R],
        timeout: float | None,
        resume: Callable[[R | None], Message | None],
    ) -> AsyncStream[R]:
        """Make a call with one request and many responses.

        Args:
            method: Name of the method in the contract.
            request: Its request.
            response: The class of its responses.
            timeout: Seconds for all of it; None means no limit.
            resume: Given the last response (None: there was none), makes the request with which to
                go on after the service restarted, or returns None when that is not possible.
        """
        return AsyncStream(
            self.link,
            self.name,
            lambda asked, seconds: self._transport.stream(
                self._path(method), asked, response, seconds, self.link.metadata()
            ),
            request,
            timeout,
            resume,
        )

    def exchange(
        self,
        method: str,
        requests: AsyncIterator[Message],
        response: type[R],
        timeout: float | None,
        failure: Callable[[], Exception | None],
    ) -> AsyncStream[R]:
        """Make a call with many requests and many responses; it is not repeated.

        Args:
            method: Name of the method in the contract.
            requests: Its requests.
            response: The class of its responses.
            timeout: Seconds for all of it; None means no limit.
            failure: Tells why the requests ended with an error, if they did.
        """
        return AsyncStream(
            self.link,
            self.name,
            lambda _, seconds: self._transport.exchange(
                self._path(method), requests, response, seconds, self.link.metadata()
            ),
            Empty(),
            timeout,
            lambda _: None,
            failure,
        )

    async def upload(
        self,
        method: str,
        requests: AsyncIterator[Message],
        response: type[R],
        timeout: float | None = None,
    ) -> R:
        """Make a call with many requests and one response; it is not repeated."""
        try:
            return await self._transport.upload(
                self._path(method), requests, response, timeout, self.link.metadata()
            )
        except WireError as error:
            raise self.link.translate(self.name, error) from None

    def duplex(
        self,
        method: str,
        request: type[Message],
        response: type[R],
        timeout: float | None = None,
    ) -> Duplex[R]:
        """Make a call with streams in both directions; its errors are the transport's."""
        return self._transport.duplex(
            self._path(method), request, response, timeout, self.link.metadata()
        )

    async def health(self, timeout: float | None = None) -> bool:
        """Ask the service whether it serves (grpc.health.v1); False when it does not answer.

        Args:
            timeout: Seconds; None means no limit.

        Raises:
            PermissionDenied: The socket may not be opened by this user.
        """
        # On the wire a HealthCheckRequest without a name is Empty, and the unknown field 1 of the response,
        # its status, stays in an Empty: so the client needs no further package.
        try:
            response = await self._transport.unary(
                "/grpc.health.v1.Health/Check", Empty(), Empty, timeout, self.link.metadata()
            )
        except WireError as error:
            failure = self.link.translate(self.name, error)
            if isinstance(failure, PermissionDenied):
                raise failure from None
            return False
        return response.SerializeToString() == _SERVING

    async def close(self) -> None:
        """Close the channel."""
        await self._transport.close()
