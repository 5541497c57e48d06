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
from scow.client._link import WireError
from scow.client._sio import Duplex
from scow.client._sync.service import Service

Q = TypeVar("Q", AttachRequest, ExecRequest)
R = TypeVar("R", AttachResponse, ExecResponse)

# Of one message of input; the pipe behind it takes 64 KiB.
_CHUNK = 32 << 10


class _Session(Generic[Q, R]):
    """What both kinds of sessions share.

    Iterating gives the messages that carry output, in order; after the last one `exit_code` is set.
    """

    _request: type[Q]

    def __init__(self, service: Service, duplex: Duplex[R]) -> None:
        self._service = service
        self._duplex: Duplex[R] = duplex
        self._ended = False
        # The code with which the process ended; None before that, and when the session was cut.
        self.exit_code: int | None = None

    def send(self, data: bytes) -> None:
        """Write to the process's standard input."""
        for start in range(0, len(data), _CHUNK):
            self._duplex.send(self._request(stdin=data[start : start + _CHUNK]))

    def close_stdin(self) -> None:
        """Let the process see the end of its input."""
        self._duplex.send(self._request(close_stdin=True))

    def resize(self, rows: int, columns: int) -> None:
        """Tell the size of the terminal, in characters."""
        size = WindowSize(rows=rows, columns=columns)
        self._duplex.send(self._request(resize=size))

    def _open(self, request: Q) -> R | None:
        """Send the first request and return the first response."""
        self._duplex.send(request)
        try:
            return self._receive()
        except BaseException:
            self.close()
            raise

    def _receive(self) -> R | None:
        try:
            return self._duplex.receive()
        except WireError as error:
            raise self._service.link.translate(self._service.name, error) from None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        while not self._ended:
            response = self._receive()
            if response is None:
                break
            kind = response.WhichOneof("message")
            if kind == "exit":
                self.exit_code = response.exit.code
            elif kind in ("stdout", "stderr"):
                return response
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End the session; without effect on one that has ended. The process goes on."""
        if not self._ended:
            self._ended = True
            self._duplex.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Attachment(_Session[AttachRequest, AttachResponse]):
    r"""The stdio of a container's main process.

    Example::

        with client.containers.attach("shell", stdin=True) as session:
            session.send(b"date\n")
            session.close_stdin()
            for output in session:
                print(output.stdout or output.stderr)
            print(session.exit_code)
    """

    _request = AttachRequest

    def open(self, request: AttachRequest) -> Self:
        """Connect; returns when the streams are there."""
        self._open(request)
        return self


class Execution(_Session[ExecRequest, ExecResponse]):
    """The stdio of a process that was started with exec.

    Attributes:
        exec_id: The session's id.
        pid: The process's id in the host.
    """

    _request = ExecRequest
    exec_id = ""
    pid = 0

    def open(self, request: ExecRequest) -> Self:
        """Start the process; returns when it was executed."""
        response = self._open(request)
        if response is not None:
            self.exec_id = response.started.exec_id
            self.pid = response.started.pid
        return self
