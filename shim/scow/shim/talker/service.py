"""scow.api.shim.v1 over grpclib: a table of handlers around one container.

grpclib is pure Python: with it an idle shim takes half the memory that grpcio would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Stream

from scow.api.shim.v1 import shim_pb2 as pb
from scow.shim import VERSION
from scow.shim.errors import CODES, ShimError, from_exception
from scow.shim.keeper.container import Container
from scow.shim.keeper.exit_record import Exit
from scow.shim.keeper.stdio import Session, Stdio
from scow.shim.oci import config
from scow.shim.talker.execution import Executions, Wanted

_NANO = 1_000_000_000
_CPU_PERIOD_MICROSECONDS = 100_000
_PREFIX = "/scow.api.shim.v1.ShimService/"
_UNARY, _BIDI = Cardinality.UNARY_UNARY, Cardinality.STREAM_STREAM


class RawDetails(StatusDetailsCodecBase):
    """The `grpc-status-details-bin` trailer: errors bring its bytes."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        """Return the bytes."""
        return bytes(details)

    def decode(self, status: Status, message: str | None, data: bytes) -> Any:
        """Return the bytes."""
        return data


class ShimService:
    """Serves one container.

    Args:
        container: The container.
        shutdown: Called after Shutdown was answered.
    """

    def __init__(self, container: Container, shutdown: Callable[[], None]) -> None:
        self._container = container
        self._executions = Executions(container)
        self._shutdown = shutdown

    def __mapping__(self) -> dict[str, Handler]:
        """Return the handler of each method, as grpclib wants it."""
        table: dict[str, tuple[Callable[..., Awaitable[Any]], Cardinality]] = {
            "State": (self._state, _UNARY),
            "Start": (self._start, _UNARY),
            "Kill": (self._kill, _UNARY),
            "Wait": (self._wait, _UNARY),
            "Attach": (self._attach, _BIDI),
            "Exec": (self._exec, _BIDI),
            "ExecState": (self._exec_state, _UNARY),
            "Resize": (self._resize, _UNARY),
            "Pause": (self._pause, _UNARY),
            "Resume": (self._resume, _UNARY),
            "Stats": (self._stats, _UNARY),
            "Update": (self._update, _UNARY),
            "Shutdown": (self._end, _UNARY),
        }
        return {
            _PREFIX + name: Handler(
                _unary(handle) if kind is _UNARY else _bidi(handle),
                kind,
                getattr(pb, f"{name}Request"),
                getattr(pb, f"{name}Response"),
            )
            for name, (handle, kind) in table.items()
        }

    async def _state(self, request: pb.StateRequest) -> pb.StateResponse:
        container = self._container
        state = container.state
        return pb.StateResponse(
            id=container.id,
            status=pb.Status.ValueType(container.status),
            pid=0 if container.exit else container.pid,
            pid_start_ticks=state.pid_start_ticks,
            shim_pid=state.shim_pid,
            exit=_exit(container.exit) if container.exit else None,
            version=VERSION,
        )

    async def _start(self, request: pb.StartRequest) -> pb.StartResponse:
        mounts = [
            config.Mount(m.destination, m.type, m.source, tuple(m.options)) for m in request.mounts
        ]
        await self._container.start(mounts)
        now = Timestamp()
        now.GetCurrentTime()
        return pb.StartResponse(pid=self._container.pid, started_at=now)

    async def _kill(self, request: pb.KillRequest) -> pb.KillResponse:
        if request.exec_id:
            self._executions.get(request.exec_id).kill(request.signal)
        else:
            self._container.kill(request.signal, everyone=request.all)
        return pb.KillResponse()

    async def _wait(self, request: pb.WaitRequest) -> pb.WaitResponse:
        if request.exec_id:
            return pb.WaitResponse(exit=_exit(await self._executions.get(request.exec_id).wait()))
        return pb.WaitResponse(exit=_exit(await self._container.wait()))

    async def _attach(self, stream: Stream[pb.AttachRequest, pb.AttachResponse]) -> None:
        first = await stream.recv_message()
        opened = _opened(first)
        container = self._container
        session, position = container.stdio.attach(
            stdout=opened.stdout, stderr=opened.stderr, unlogged=opened.unlogged
        )

        async def end_input() -> None:
            if container.request.stdin_once:
                await container.stdio.end_stdin()

        reader = _Input(stream, container.stdio, container.resize, end_input, opened.stdin)
        try:
            place = pb.OutputPosition(run=container.stdio.run, **position)
            await stream.send_message(pb.AttachResponse(attached=True, position=place))
            with reader:
                await _deliver(stream, session, pb.AttachResponse)
            await stream.send_message(pb.AttachResponse(exit=_exit(await container.wait())))
        finally:
            container.stdio.detach(session)
            if opened.stdin and container.request.stdin_once:
                container.stdio.close_stdin()

    async def _exec(self, stream: Stream[pb.ExecRequest, pb.ExecResponse]) -> None:
        opened = _opened(await stream.recv_message())
        if opened.attach:
            execution = self._executions.get(opened.exec_id)
        else:
            execution = self._executions.start(opened.exec_id, _wanted(opened))
        stdio = execution.stdio
        session, position = stdio.attach(stdout=not opened.detach, stderr=not opened.detach)
        try:
            await execution.launched()
            place = pb.OutputPosition(run=stdio.run, **position)
            started = pb.ExecResponse.Started(pid=execution.pid, position=place)
            await stream.send_message(pb.ExecResponse(started=started))
            if opened.detach:
                return
            with _Input(stream, stdio, stdio.resize, stdio.end_stdin, opened.stdin):
                await _deliver(stream, session, pb.ExecResponse)
            await stream.send_message(pb.ExecResponse(exit=_exit(await execution.wait())))
        finally:
            stdio.detach(session)
            stdio.close_stdin()

    async def _exec_state(self, request: pb.ExecStateRequest) -> pb.ExecStateResponse:
        session = self._executions.get(request.exec_id)
        return pb.ExecStateResponse(
            exec_id=request.exec_id,
            running=session.running,
            pid=session.pid,
            exit=_exit(session.exit) if session.exit else None,
        )

    async def _resize(self, request: pb.ResizeRequest) -> pb.ResizeResponse:
        size = request.size
        if request.exec_id:
            self._executions.get(request.exec_id).stdio.resize(size.rows, size.columns)
        else:
            self._container.resize(size.rows, size.columns)
        return pb.ResizeResponse()

    async def _pause(self, request: pb.PauseRequest) -> pb.PauseResponse:
        self._container.pause()
        return pb.PauseResponse()

    async def _resume(self, request: pb.ResumeRequest) -> pb.ResumeResponse:
        self._container.resume()
        return pb.ResumeResponse()

    async def _stats(self, request: pb.StatsRequest) -> pb.StatsResponse:
        stats = self._container.cgroup.stats()
        now = Timestamp()
        now.GetCurrentTime()
        return pb.StatsResponse(
            time=now,
            memory_usage=stats.memory_usage,
            memory_limit=stats.memory_limit,
            cpu_usage=stats.cpu_usage,
            pids=stats.pids,
            pids_limit=stats.pids_limit,
            oom_kills=stats.oom_kills,
        )

    async def _update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        quota = request.nano_cpus * _CPU_PERIOD_MICROSECONDS // _NANO
        self._container.warn(
            self._container.cgroup.update(
                config.Resources(
                    memory=request.memory or None,
                    memory_swap=request.memory_swap or None,
                    cpu_quota=quota or None,
                    cpu_period=_CPU_PERIOD_MICROSECONDS if quota else None,
                    cpu_shares=request.cpu_shares or None,
                    pids=request.pids_limit or None,
                )
            )
        )
        return pb.UpdateResponse()

    async def _end(self, request: pb.ShutdownRequest) -> pb.ShutdownResponse:
        self._executions.end()
        record = await self._container.end()
        self._shutdown()
        return pb.ShutdownResponse(exit=_exit(record) if record else None)


class _Input:
    """Passes on, in the background, what a client sends after its first message."""

    def __init__(
        self,
        stream: Stream[Any, Any],
        stdio: Stdio,
        resize: Callable[[int, int], None],
        end: Callable[[], Awaitable[None]],
        stdin: bool,
    ) -> None:
        self._stream = stream
        self._stdio = stdio
        self._resize = resize
        self._end = end
        self._stdin = stdin

    def __enter__(self) -> None:
        self._task = asyncio.create_task(self._pass_on())

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _pass_on(self) -> None:
        try:
            while (message := await self._stream.recv_message()) is not None:
                kind = message.WhichOneof("message")
                if kind == "stdin" and self._stdin:
                    await self._stdio.write_stdin(message.stdin)
                elif kind == "close_stdin":
                    break
                elif kind == "resize":
                    self._resize_quietly(message.resize)
            while self._stdin and message is not None:  # sizes may still follow
                await self._end_once()
                message = await self._stream.recv_message()
                if message is not None and message.WhichOneof("message") == "resize":
                    self._resize_quietly(message.resize)
        except StreamTerminatedError:  # the client is gone: whoever called sees to pipes
            return
        await self._end_once()

    def _resize_quietly(self, size: pb.WindowSize) -> None:
        try:
            self._resize(size.rows, size.columns)
        except ShimError:  # it has no terminal, or has just ended
            return

    async def _end_once(self) -> None:
        if self._stdin:
            self._stdin = False
            await self._end()


async def _deliver(stream: Stream[Any, Any], session: Session, response: type[Any]) -> None:
    """Send output until the last of it."""
    while (piece := await session.next()) is not None:
        name, data = piece
        await stream.send_message(response(**{name: data}))


def _opened(first: Any) -> Any:
    if first is None or first.WhichOneof("message") != "open":
        text = "the first message must be `open`"
        raise ShimError("INVALID_ARGUMENT", "INVALID_ARGUMENT", text, what="message")
    return first.open


def _wanted(opened: pb.ExecRequest.Open) -> Wanted:
    process = opened.process
    return Wanted(
        args=tuple(process.args),
        env=tuple(process.env),
        cwd=process.cwd,
        user=process.user,
        terminal=process.terminal,
        privileged=process.privileged,
        groups=tuple(process.add_groups),
        size=(process.window_size.rows, process.window_size.columns),
        stdin=opened.stdin,
    )


def _exit(record: Exit) -> pb.Exit:
    return pb.Exit(
        code=record.code,
        signal=record.signal,
        time=Timestamp(seconds=record.time_ns // _NANO, nanos=record.time_ns % _NANO),
        oom_killed=record.oom_killed,
        error=record.error,
    )


def _unary(
    handle: Callable[[Any], Awaitable[Any]],
) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
    async def method(stream: Stream[Any, Any]) -> None:
        request = await stream.recv_message()
        with _Translated():
            response = await handle(request)
        await stream.send_message(response)

    return method


def _bidi(handle: Callable[[Any], Awaitable[Any]]) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
    async def method(stream: Stream[Any, Any]) -> None:
        with _Translated():
            await handle(stream)

    return method


class _Translated:
    """Turns what a handler raises into a status with ErrorInfo."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(
            error, GRPCError | StreamTerminatedError | TimeoutError
        ):
            typed = from_exception(error, "serve the request")
            status = Status(CODES[typed.code])
            raise GRPCError(status, typed.message, typed.to_details()) from error
