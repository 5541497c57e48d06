"""Streams of responses, as iterators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

from google.protobuf.message import Message

from scow.client._aio import Incoming, pause
from scow.client._link import Link, WireError

R = TypeVar("R", bound=Message)


class AsyncStream(Generic[R]):
    """An iterator over what a service sends.

    Closing it, leaving its context, or cancelling the task that iterates ends the call, and the
    service stops the work. A stream that can go on after its service restarted does so.

    Raises:
        ScowError: While iterating: what the service said.

    Example::

        async with client.containers.logs("web", follow=True) as logs:
            async for record in logs:
                print(record.stdout)
    """

    def __init__(
        self,
        link: Link,
        service: str,
        start: Callable[[Message, float | None], Incoming[R]],
        request: Message,
        timeout: float | None,
        resume: Callable[[R | None], Message | None],
        failure: Callable[[], Exception | None] = lambda: None,
    ) -> None:
        self._link = link
        self._service = service
        self._start = start
        self._request = request
        self._patience = link.patience_of(timeout)
        self._resume = resume
        self._failure = failure
        self._incoming: Incoming[R] | None = None
        self._last: R | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        while not self._closed:
            try:
                if self._incoming is None:
                    self._incoming = self._start(self._request, self._patience.remaining())
                response = await self._incoming.receive()
            except WireError as error:
                await self._own_failure()
                await self._recover(error)
                continue
            except BaseException:  # grpc.aio cancels the call when what it sends fails
                await self._own_failure()
                raise
            if response is None:
                break
            self._last = response
            self._patience.reset()
            return response
        await self.close()
        raise StopAsyncIteration

    async def _own_failure(self) -> None:
        """Raise what failed on this side; the transport has a status for it, but without a reason."""
        failure = self._failure()
        if failure is not None:
            await self.close()
            raise failure

    async def _recover(self, error: WireError) -> None:
        """Get ready for another attempt, or raise the error."""
        failure = self._link.translate(self._service, error)
        request = self._resume(self._last)
        delay = None
        if request is not None and self._link.worth_waiting(self._service, failure):
            delay = self._patience.next()
        if request is None or delay is None:
            await self.close()
            raise failure
        await pause(delay)
        self._request = request
        self._incoming = None

    async def close(self) -> None:
        """End the call; without effect on one that has ended."""
        self._closed = True
        if self._incoming is not None:
            self._incoming.cancel()
            self._incoming = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
