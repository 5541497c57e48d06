"""Streams of responses, as iterators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

from google.protobuf.message import Message

from scow.client._link import Link, WireError
from scow.client._sio import Incoming, pause

R = TypeVar("R", bound=Message)


class Stream(Generic[R]):
    """An iterator over what a service sends.

    Closing it, leaving its context ends the call, and the
    service stops the work. A stream that can go on after its service restarted does so.

    Raises:
        ScowError: While iterating: what the service said.

    Example::

        with client.containers.logs("web", follow=True) as logs:
            for record in logs:
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        while not self._closed:
            try:
                if self._incoming is None:
                    self._incoming = self._start(self._request, self._patience.remaining())
                response = self._incoming.receive()
            except WireError as error:
                self._own_failure()
                self._recover(error)
                continue
            except BaseException:  # grpc.aio cancels the call when what it sends fails
                self._own_failure()
                raise
            if response is None:
                break
            self._last = response
            self._patience.reset()
            return response
        self.close()
        raise StopIteration

    def _own_failure(self) -> None:
        """Raise what failed on this side; the transport has a status for it, but without a reason."""
        failure = self._failure()
        if failure is not None:
            self.close()
            raise failure

    def _recover(self, error: WireError) -> None:
        """Get ready for another attempt, or raise the error."""
        failure = self._link.translate(self._service, error)
        request = self._resume(self._last)
        delay = None
        if request is not None and self._link.worth_waiting(self._service, failure):
            delay = self._patience.next()
        if request is None or delay is None:
            self.close()
            raise failure
        pause(delay)
        self._request = request
        self._incoming = None

    def close(self) -> None:
        """End the call; without effect on one that has ended."""
        self._closed = True
        if self._incoming is not None:
            self._incoming.cancel()
            self._incoming = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
