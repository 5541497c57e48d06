"""The methods of scow.api.shim.v1 around one container."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from scow.api.shim.v1 import shim_pb2 as pb
from scow.contract.errors import InvalidArgument, LimitExceeded, ScowError
from scow.shim import VERSION, cgroup
from scow.shim.keeper import link
from scow.shim.keeper.output import STALL_SECONDS
from scow.shim.messages import exit_message
from scow.shim.oci import config
from scow.shim.talker import live_mounts
from scow.shim.talker.container import STOPPED, Container
from scow.shim.talker.execution import Executions, Wanted
from scow.shim.talker.server import Method, Stream
from scow.shim.talker.stdio import Session, Stdio

_NAMES = {link.STDOUT: "stdout", link.STDERR: "stderr"}
_PACKET_MAX = 1 << 17


class ShimService:
    """Serves one container.

    Args:
        container: The container.
        executions: Its exec sessions.
    """

    def __init__(self, container: Container, executions: Executions) -> None:
        self._container = container
        self._executions = executions

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "State": Method(self._state, pb.StateRequest),
            "Kill": Method(self._kill, pb.KillRequest),
            "Wait": Method(self._wait, pb.WaitRequest),
            "Attach": Method(self._attach, pb.AttachRequest, streaming=True),
            "Exec": Method(self._exec, pb.ExecRequest, streaming=True),
            "ExecState": Method(self._exec_state, pb.ExecStateRequest),
            "Resize": Method(self._resize, pb.ResizeRequest),
            "Pause": Method(self._pause, pb.PauseRequest),
            "Resume": Method(self._resume, pb.ResumeRequest),
            "Stats": Method(self._stats, pb.StatsRequest),
            "Processes": Method(self._processes, pb.ProcessesRequest),
            "Update": Method(self._update, pb.UpdateRequest),
            "Mount": Method(self._mount, pb.MountRequest),
            "Unmount": Method(self._unmount, pb.UnmountRequest),
            "Shutdown": Method(self._end, pb.ShutdownRequest),
        }

    async def _state(self, request: pb.StateRequest) -> pb.StateResponse:
        container = self._container
        state = container.state()
        return pb.StateResponse(
            id=container.id,
            status=pb.Status.ValueType(container.status),
            pid=0 if container.exit else container.pid,
            pid_start_ticks=state.pid_start_ticks,
            shim_pid=state.shim_pid,
            exit=exit_message(container.exit) if container.exit else None,
            version=VERSION,
        )

    async def _kill(self, request: pb.KillRequest) -> pb.KillResponse:
        if request.exec_id:
            self._executions.get(request.exec_id).kill(request.signal)
        else:
            self._container.kill(request.signal, everyone=request.all)
        return pb.KillResponse()

    async def _wait(self, request: pb.WaitRequest) -> pb.WaitResponse:
        if request.exec_id:
            session = self._executions.running(request.exec_id)
            ended = await session.wait() if session else None
            ended = ended or self._executions.find(request.exec_id).exit
            assert ended is not None
            return pb.WaitResponse(exit=exit_message(ended))
        return pb.WaitResponse(exit=exit_message(await self._container.wait()))

    async def _attach(self, stream: Stream) -> None:
        opened = _opened(await stream.receive())
        container = self._container
        output = container.attach(
            stdout=opened.stdout, stderr=opened.stderr, unlogged=opened.unlogged
        )

        async def end_input() -> None:
            if container.request.stdin_once:
                await container.end_stdin()

        reader = _Input(
            stream,
            lambda data: container.stdin.write(data),
            container.resize,
            end_input,
            opened.stdin,
        )
        try:
            pieces = _pieces(output)
            _, place = await anext(pieces)
            position = pb.OutputPosition(**link.parse_position(place))
            await stream.send(pb.AttachResponse(attached=True, position=position))
            with reader:
                async for name, data in pieces:
                    await stream.send(
                        pb.AttachResponse(stdout=data)
                        if name == "stdout"
                        else pb.AttachResponse(stderr=data)
                    )
            await stream.send(pb.AttachResponse(exit=exit_message(await container.wait())))
        finally:
            output.close()
            if opened.stdin and container.request.stdin_once:
                container.close_stdin()

    async def _exec(self, stream: Stream) -> None:
        opened = _opened(await stream.receive())
        if opened.attach:
            execution = self._executions.running(opened.exec_id)
            if execution is None:
                await self._tell_ended(stream, opened)
                return
        else:
            execution = self._executions.start(opened.exec_id, _wanted(opened))
            execution.stdio.keeps = not (opened.detach or opened.bound)
        stdio = execution.stdio
        session, position = stdio.attach(
            stdout=not opened.detach, stderr=not opened.detach, known=_known(opened, stdio)
        )
        try:
            await execution.launched()
            place = pb.OutputPosition(run=stdio.run, **position)
            started = pb.ExecResponse.Started(pid=execution.pid, position=place)
            await stream.send(pb.ExecResponse(started=started))
            if opened.detach:
                return
            with _Input(stream, stdio.write_stdin, stdio.resize, stdio.end_stdin, opened.stdin):
                await _deliver(stream, session, pb.ExecResponse)
            await stream.send(pb.ExecResponse(exit=exit_message(await execution.wait())))
            self._executions.delivered(opened.exec_id)
        finally:
            stdio.detach(session)
            stdio.close_stdin()
            if opened.bound and execution.running:
                execution.kill(signal.SIGKILL, group=True)

    async def _tell_ended(self, stream: Stream, opened: pb.ExecRequest.Open) -> None:
        """Tell of a session that had ended before anybody attached to it again, and what it wrote since."""
        record, stdio = self._executions.find(opened.exec_id), self._executions.kept(opened.exec_id)
        assert record.exit is not None
        if stdio is not None:
            known = _known(opened, stdio)
            session, position = stdio.attach(stdout=True, stderr=True, known=known)
            place = pb.OutputPosition(run=stdio.run, **position)
            started = pb.ExecResponse.Started(pid=record.pid, position=place)
            await stream.send(pb.ExecResponse(started=started))
            await _deliver(stream, session, pb.ExecResponse)
            await stream.send(pb.ExecResponse(exit=exit_message(record.exit)))
            self._executions.delivered(opened.exec_id)
            return
        started = pb.ExecResponse.Started(pid=record.pid)
        if record.run:  # unknown of one whose talker was killed
            place = pb.OutputPosition(run=record.run, stdout=record.stdout, stderr=record.stderr)
            started.position.CopyFrom(place)
        await stream.send(pb.ExecResponse(started=started))
        await stream.send(pb.ExecResponse(exit=exit_message(record.exit)))

    async def _exec_state(self, request: pb.ExecStateRequest) -> pb.ExecStateResponse:
        record = self._executions.find(request.exec_id)
        return pb.ExecStateResponse(
            exec_id=request.exec_id,
            running=record.exit is None,
            pid=record.pid,
            exit=exit_message(record.exit) if record.exit else None,
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

    async def _processes(self, request: pb.ProcessesRequest) -> pb.ProcessesResponse:
        return pb.ProcessesResponse(pids=cgroup.pids_in(self._container.cgroup.directories))

    async def _update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        if self._container.status == STOPPED:
            raise self._container.not_running()
        resources = config.parse_resources(request.resources)
        return pb.UpdateResponse(warnings=self._container.cgroup.update(resources))

    async def _mount(self, request: pb.MountRequest) -> pb.MountResponse:
        entry = request.mount
        mount = config.Mount(entry.destination, entry.type, entry.source, tuple(entry.options))
        await live_mounts.attach(self._container, mount)
        return pb.MountResponse()

    async def _unmount(self, request: pb.UnmountRequest) -> pb.UnmountResponse:
        await live_mounts.detach(self._container, request.destination, force=request.force)
        return pb.UnmountResponse()

    async def _end(self, request: pb.ShutdownRequest) -> pb.ShutdownResponse:
        self._executions.end()
        return pb.ShutdownResponse(exit=exit_message(await self._container.end()))


class _Input:
    """Passes on, in the background, what a client sends after its first message."""

    def __init__(
        self,
        stream: Stream,
        write: Callable[[bytes], Awaitable[None]],
        resize: Callable[[int, int], None],
        end: Callable[[], Awaitable[None]],
        stdin: bool,
    ) -> None:
        self._stream = stream
        self._write = write
        self._resize = resize
        self._end = end
        self._stdin = stdin

    def __enter__(self) -> None:
        self._task = asyncio.create_task(self._pass_on())

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _pass_on(self) -> None:
        while (message := await self._stream.receive()) is not None:
            kind = message.WhichOneof("message")
            if kind == "stdin" and self._stdin:
                await self._write(message.stdin)
            elif kind == "close_stdin":
                await self._end_once()
            elif kind == "resize":
                self._resize_quietly(message.resize)
        await self._end_once()

    def _resize_quietly(self, size: pb.WindowSize) -> None:
        try:
            self._resize(size.rows, size.columns)
        except ScowError:  # it has no terminal, or has just ended
            return

    async def _end_once(self) -> None:
        if self._stdin:
            self._stdin = False
            await self._end()


async def _deliver(stream: Stream, session: Session, response: type[Any]) -> None:
    """Send output until the last of it."""
    while (piece := await session.next()) is not None:
        name, data = piece
        await stream.send(response(**{name: data}))


def _opened(first: Any) -> Any:
    if first is None or first.WhichOneof("message") != "open":
        text = "the first message must be `open`"
        raise InvalidArgument(text, what="message")
    return first.open


def _known(opened: pb.ExecRequest.Open, stdio: Stdio) -> dict[str, int] | None:
    """Return what a client has of a process's output, if it says so of this very process."""
    if not opened.HasField("resume") or opened.resume.run != stdio.run:
        return None
    return {"stdout": opened.resume.stdout, "stderr": opened.resume.stderr}


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


async def _pieces(output: socket.socket) -> AsyncIterator[tuple[str, bytes]]:
    """Yield what the keeper sends of the init's output; first, once, its position.

    Raises:
        ResourceExhausted when the session was cut off.
    """
    loop = asyncio.get_running_loop()
    while packet := await loop.sock_recv(output, _PACKET_MAX):
        kind = packet[:1]
        if kind == link.END:
            return
        yield _NAMES.get(kind, ""), packet[1:]
    raise LimitExceeded(
        f"this client took too little output for {STALL_SECONDS:.0f} seconds",
        what="attach",
        do="read faster, or follow the log instead",
    )
