"""Sessions: the stdio of a container's process, or of a further process in it."""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from scow.api.container.v1.container_pb2 import (
    AttachRequest,
    AttachResponse,
    ExecRequest,
    ExecResponse,
    WindowSize,
)
from scow.client._aio import Duplex
from scow.client._async.service import AsyncService
from scow.client._link import WireError

Q = TypeVar("Q", AttachRequest, ExecRequest)
R = TypeVar("R", AttachResponse, ExecResponse)

# Of one message of input; the pipe behind it takes 64 KiB.
_CHUNK = 32 << 10


class _AsyncSession(Generic[Q, R]):
    """What both kinds of sessions share.

    Iterating gives the messages that carry output, in order; after the last one `exit_code` is set.
    """

    _request: type[Q]

    def __init__(self, service: AsyncService, duplex: Duplex[R]) -> None:
        self._service = service
        self._duplex: Duplex[R] = duplex
        self._ended = False
        # The code with which the process ended; None before that, and when the session was cut.
        self.exit_code: int | None = None

    async def send(self, data: bytes) -> None:
        """Write to the process's standard input."""
        for start in range(0, len(data), _CHUNK):
            await self._duplex.send(self._request(stdin=data[start : start + _CHUNK]))

    async def close_stdin(self) -> None:
        """Let the process see the end of its input."""
        await self._duplex.send(self._request(close_stdin=True))

    async def resize(self, rows: int, columns: int) -> None:
        """Tell the size of the terminal, in characters."""
        size = WindowSize(rows=rows, columns=columns)
        await self._duplex.send(self._request(resize=size))

    async def _open(self, request: Q) -> R | None:
        """Send the first request and return the first response."""
        await self._duplex.send(request)
        try:
            return await self._receive()
        except BaseException:
            await self.close()
            raise

    async def _receive(self) -> R | None:
        try:
            return await self._duplex.receive()
        except WireError as error:
            raise self._service.link.translate(self._service.name, error) from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        while not self._ended:
            response = await self._receive()
            if response is None:
                break
            kind = response.WhichOneof("message")
            if kind == "exit":
                self.exit_code = response.exit.code
            elif kind in ("stdout", "stderr"):
                return response
        await self.close()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the session; without effect on one that has ended. The process goes on."""
        if not self._ended:
            self._ended = True
            self._duplex.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncAttachment(_AsyncSession[AttachRequest, AttachResponse]):
    r"""The stdio of a container's main process.

    Example::

        async with await client.containers.attach("shell", stdin=True) as session:
            await session.send(b"date\n")
            await session.close_stdin()
            async for output in session:
                print(output.stdout or output.stderr)
            print(session.exit_code)
    """

    _request = AttachRequest

    async def open(self, request: AttachRequest) -> Self:
        """Connect; returns when the streams are there."""
        await self._open(request)
        return self


class AsyncExecution(_AsyncSession[ExecRequest, ExecResponse]):
    """The stdio of a process that was started with exec.

    Attributes:
        exec_id: The session's id.
        pid: The process's id in the host.
    """

    _request = ExecRequest
    exec_id = ""
    pid = 0

    async def open(self, request: ExecRequest) -> Self:
        """Start the process; returns when it was executed."""
        response = await self._open(request)
        if response is not None:
            self.exec_id = response.started.exec_id
            self.pid = response.started.pid
        return self
