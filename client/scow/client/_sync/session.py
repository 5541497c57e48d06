"""Sessions: the stdio of a container's process, or of a further process in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

from scow.api.container.v1.container_pb2 import (
    AttachRequest,
    AttachResponse,
    ExecRequest,
    ExecResponse,
    OutputPosition,
    WindowSize,
)
from scow.client._link import WireError
from scow.client._sio import Duplex, pause
from scow.client._sync.service import Service
from scow.contract.errors import ContainerNotFound, ContainerNotRunning, ScowError

Q = TypeVar("Q", AttachRequest, ExecRequest)
R = TypeVar("R", AttachResponse, ExecResponse)

# Of one message of input; the pipe behind it takes 64 KiB.
_CHUNK = 32 << 10


class _Session(Generic[Q, R]):
    """What both kinds of sessions share.

    Iterating gives the messages that carry output, in order; after the last one `exit_code` is set. When the service is
    restarted meanwhile, the session goes on where it was; input that was on its way is lost.
    """

    _request: type[Q]

    def __init__(
        self,
        service: Service,
        connect: Callable[[float | None], Duplex[R]],
        timeout: float | None,
    ) -> None:
        self._service = service
        self._connect: Callable[[float | None], Duplex[R]] = connect
        self._duplex: Duplex[R] = connect(timeout)
        self._patience = service.link.patience_of(timeout)
        self._ended = False
        self._input_ended = False
        self._resumed = False
        self._opened: Q | None = None
        # How much came before the next output; unknown until the service says it.
        self._place: OutputPosition | None = None
        # The code with which the process ended; None before that, and when the session was cut.
        self.exit_code: int | None = None
        # Bytes of output that were lost while the service was restarted.
        self.missing = 0
        # More may be missing, and nobody knows how much.
        self.incomplete = False

    def send(self, data: bytes) -> None:
        """Write to the process's standard input."""
        for start in range(0, len(data), _CHUNK):
            self._duplex.send(self._request(stdin=data[start : start + _CHUNK]))

    def close_stdin(self) -> None:
        """Let the process see the end of its input."""
        self._input_ended = True
        self._duplex.send(self._request(close_stdin=True))

    def resize(self, rows: int, columns: int) -> None:
        """Tell the size of the terminal, in characters."""
        size = WindowSize(rows=rows, columns=columns)
        if self._opened is not None:
            self._opened.open.window_size.CopyFrom(size)
        self._duplex.send(self._request(resize=size))

    def _open(self, request: Q) -> R | None:
        """Send the first request and return the first response."""
        self._duplex.send(request)
        try:
            response = self._receive()
        except BaseException:
            self.close()
            raise
        self._opened = request
        return response

    def _receive(self) -> R | None:
        while True:
            try:
                response = self._duplex.receive()
            except WireError as error:
                failure = self._service.link.translate(self._service.name, error)
                if self._resumed and self._ended_meanwhile(failure):
                    self.incomplete = True
                    return None
                self._recover(failure)
                continue
            if response is not None:
                self._patience.reset()
                self._note(response)
            return response

    def _recover(self, failure: ScowError) -> None:
        """Connect again after the service restarted, or raise the error."""
        link, again = self._service.link, self._again()
        delay = None
        if (
            not self._ended
            and again is not None
            and link.worth_waiting(self._service.name, failure)
        ):
            delay = self._patience.next()
        if again is None or delay is None:
            raise failure from None
        pause(delay)
        self._duplex.cancel()
        self._duplex = self._connect(self._patience.remaining())
        self._resumed = True
        # A container that was started by an earlier version does not tell where its output is.
        self.incomplete |= self._place is None
        self._duplex.send(again)
        if self._input_ended:
            self._duplex.send(self._request(close_stdin=True))

    def _again(self) -> Q | None:
        """Return the request that goes on with the session; None when that is not possible."""
        raise NotImplementedError

    def _ended_meanwhile(self, failure: ScowError) -> bool:
        """Tell whether a failure to go on means that the process has ended, which others know more of."""
        return False

    def _note(self, response: R) -> None:
        """Note how far the output has come."""
        self.incomplete |= response.incomplete
        place = self._place_of(response)
        if place is not None:
            if self._place is not None:
                self.missing += max(0, place.stdout - self._place.stdout)
                self.missing += max(0, place.stderr - self._place.stderr)
            self._place = OutputPosition()
            self._place.CopyFrom(place)
        if self._place is not None:
            self._place.stdout += len(response.stdout)
            self._place.stderr += len(response.stderr)

    def _place_of(self, response: R) -> OutputPosition | None:
        """Return what a response says of where its output is, if it does."""
        raise NotImplementedError

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

    Attributes:
        warnings: With `start`: what was asked for and could not be given.
    """

    _request = AttachRequest
    warnings: tuple[str, ...] = ()

    def open(self, request: AttachRequest) -> Self:
        """Connect; returns when the streams are there."""
        response = self._open(request)
        if response is not None:
            self.warnings = tuple(response.warnings)
        return self

    def _again(self) -> AttachRequest | None:
        if self._opened is None:
            return None
        again = AttachRequest(open=self._opened.open)
        again.open.start = again.open.logs = False
        if self._place is not None:
            again.open.resume.CopyFrom(self._place)
        return again

    def _ended_meanwhile(self, failure: ScowError) -> bool:
        return isinstance(failure, ContainerNotFound | ContainerNotRunning)

    def _place_of(self, response: AttachResponse) -> OutputPosition | None:
        known = response.HasField("position") and response.position.run
        return response.position if known else None


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

    def _again(self) -> ExecRequest | None:
        if self._opened is None or self._place is None:
            return None
        again = ExecRequest(open=self._opened.open)
        again.open.exec_id = self.exec_id
        again.open.resume.CopyFrom(self._place)
        return again

    def _place_of(self, response: ExecResponse) -> OutputPosition | None:
        known = response.WhichOneof("message") == "started" and response.started.position.run
        return response.started.position if known else None
