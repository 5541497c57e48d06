"""A shim, as the container service sees it: calls to its socket, and how its container ended.

No connection is kept: each call has one of its own, and an idle shim has none. That a container has ended is told by
its init's pidfd; how it ended, by the exit record that the shim has written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.contract import frames
from scow.contract.errors import ContainerNotRunning, ShimDied, from_wire
from scow.contract.shim_files import Exit, State
from scow.kernel import identity

M = TypeVar("M", bound=Message)
_PAUSE_MIN = 0.0005
_PAUSE_MAX = 0.5


def exit_of(message: pb.Exit) -> Exit:
    """Return the exit record of a shim's answer."""
    return Exit(
        message.code,
        message.signal,
        message.time.ToNanoseconds(),
        message.oom_killed,
        message.error,
        oom_kills=message.oom_kills,
        limit_hit=message.limit_hit,
        peak_memory=message.peak_memory,
        cpu_ns=message.cpu,
        forks_refused=message.forks_refused,
    )


class Shim:
    """The shim of a container.

    Every method raises what the shim says, ShimDied when it does not answer, or ContainerNotRunning when it has ended
    as it does after its container.

    Args:
        container: The container's id.
        path: Of its socket.
        state: Its state folder.
    """

    def __init__(self, container: str, path: Path, state: Path) -> None:
        self._container = container
        self._path = path
        self._folder = state

    async def state(self) -> pb.StateResponse:
        """Tell what the container is doing."""
        return await self._call(pb.StateRequest(), pb.StateResponse)

    async def kill(self, signal: int) -> None:
        """Send a signal to the init."""
        await self._call(pb.KillRequest(signal=signal), pb.KillResponse)

    async def kill_exec(self, exec_id: str, signal: int) -> None:
        """Send a signal to the process of an exec session."""
        await self._call(pb.KillRequest(signal=signal, exec_id=exec_id), pb.KillResponse)

    async def pause(self) -> None:
        """Freeze every process."""
        await self._call(pb.PauseRequest(), pb.PauseResponse)

    async def resume(self) -> None:
        """Thaw every process."""
        await self._call(pb.ResumeRequest(), pb.ResumeResponse)

    async def processes(self) -> set[int]:
        """Return the PIDs of the container's processes, as the host sees them."""
        response = await self._call(pb.ProcessesRequest(), pb.ProcessesResponse)
        return set(response.pids)

    async def mount(self, mount: Mount) -> None:
        """Put one more mount into the container."""
        await self._call(pb.MountRequest(mount=mount), pb.MountResponse)

    async def update(self, resources: Mapping[str, Any]) -> list[str]:
        """Change limits of the container's cgroup, given as OCI `linux.resources`; return warnings."""
        request = pb.UpdateRequest(resources=json.dumps(resources).encode())
        return list((await self._call(request, pb.UpdateResponse)).warnings)

    def open_root(self) -> int | None:
        """Open the root of the container as its processes see it (O_PATH); None when it does not run."""
        record = State.read(self._folder)
        init = identity.open_pidfd(record.pid, record.pid_start_ticks) if record else None
        if record is None or init is None:
            return None
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            root = os.open(f"/proc/{record.pid}/root", flags)
        except OSError:  # it has ended
            return None
        finally:
            alive = not select.select([init], [], [], 0)[0]
            os.close(init)
        if not alive:  # the PID may have been another's by then
            os.close(root)
            return None
        return root

    async def unmount(self, destination: str, *, force: bool) -> None:
        """Take a mount out of the container; one that is not there any more is not an error."""
        request = pb.UnmountRequest(destination=destination, force=force)
        await self._call(request, pb.UnmountResponse)

    async def wait_exec(self, exec_id: str) -> Exit:
        """Wait for the end of an exec session."""
        response = await self._call(pb.WaitRequest(exec_id=exec_id), pb.WaitResponse)
        return exit_of(response.exit)

    async def exec_state(self, exec_id: str) -> pb.ExecStateResponse:
        """Tell what became of an exec session."""
        return await self._call(pb.ExecStateRequest(exec_id=exec_id), pb.ExecStateResponse)

    async def shutdown(self) -> None:
        """End the container, and with it the shim."""
        await self._call(pb.ShutdownRequest(), pb.ShutdownResponse)

    async def attach(self, opened: pb.AttachRequest.Open) -> Stream:
        """Connect to the stdio of the init."""
        stream = await self._open("Attach", pb.AttachResponse)
        await stream.write(pb.AttachRequest(open=opened))
        return stream

    async def exec(self, opened: pb.ExecRequest.Open) -> Stream:
        """Execute a further process."""
        stream = await self._open("Exec", pb.ExecResponse)
        await stream.write(pb.ExecRequest(open=opened))
        return stream

    async def _call(self, request: Message, response: type[M]) -> M:
        stream = await self._open(
            request.DESCRIPTOR.name.removesuffix("Request"), response, request
        )
        try:
            return response.FromString(await stream.result())
        finally:
            stream.cancel()

    async def _open(
        self, method: str, response: type[Message], request: Message | None = None
    ) -> Stream:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise self.lost() from error
        data = request.SerializeToString() if request is not None else b""
        call = pb.Call(method=method, request=data)
        writer.write(frames.frame(frames.REQUEST, call.SerializeToString()))
        return Stream(self, reader, writer, response)

    def lost(self) -> ShimDied | ContainerNotRunning:
        """Return the error for a shim that does not answer."""
        if ending(self._folder) is not None:
            return ContainerNotRunning(
                f"the container {self._container[:12]} has ended",
                what="container",
                which=self._container,
            )
        return ShimDied(
            f"the shim of container {self._container[:12]} does not answer",
            what="container",
            which=self._container,
            do="look at the container again: its end is recorded within a moment",
        )

    async def ended(self) -> Exit | None:
        """Wait for the end of the container; None when its shim died without a record."""
        record = State.read(self._folder)
        if record is not None:
            await _closed(record.pid, record.pid_start_ticks)
        pause = _PAUSE_MIN
        while True:
            lived = lives(self._folder)
            found = ending(self._folder)
            if found is not None or not lived:
                return found
            await asyncio.sleep(pause)  # the shim has yet to write it
            pause = min(pause * 2, _PAUSE_MAX)
            if pause == _PAUSE_MAX:  # it cannot: the disk is full
                with contextlib.suppress(ShimDied, ContainerNotRunning):
                    response = await self._call(pb.WaitRequest(), pb.WaitResponse)
                    return exit_of(response.exit)

    async def gone(self, seconds: float) -> bool:
        """Wait until the shim itself has ended and left no cgroup; False when it has not."""
        record = State.read(self._folder)
        if record is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await _closed(record.shim_pid, record.shim_start_ticks)
        except TimeoutError:
            return False
        return not any(os.path.exists(directory) for directory in record.cgroups)


class Stream:
    """One call of a shim."""

    def __init__(
        self,
        shim: Shim,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        response: type[Message],
    ) -> None:
        self._shim = shim
        self._reader = reader
        self._writer = writer
        self._response = response

    async def write(self, message: Message) -> None:
        """Send a message; waits while the shim does not take them. One that comes too late is dropped."""
        with contextlib.suppress(OSError):
            self._writer.write(frames.frame(frames.DATA, message.SerializeToString()))
            await self._writer.drain()

    async def read(self) -> Any:
        """Return the next message; None after the last.

        Raises:
            ScowError: What the shim says.
        """
        kind, data = await self._frame()
        return None if kind == frames.RESPONSE else self._response.FromString(data)

    async def result(self) -> bytes:
        """Return the response message of a call that is no stream."""
        _, data = await self._frame()
        return data

    async def _frame(self) -> tuple[int, bytes]:
        try:
            header = await self._reader.readexactly(frames.HEADER.size)
            length, kind, _ = frames.parse_header(header)
            data = await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise self._shim.lost() from error
        if kind != frames.RESPONSE:
            return kind, data
        result = pb.Result.FromString(data)
        if result.HasField("error"):
            fault = result.error
            raise from_wire(fault.code, fault.message, fault.SerializeToString())
        return kind, result.response

    def cancel(self) -> None:
        """Close the connection, which cancels a call that has not ended."""
        self._writer.close()


async def _closed(pid: int, ticks: int) -> None:
    """Wait until a process has ended."""
    descriptor = identity.open_pidfd(pid, ticks)
    if descriptor is None:
        return
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def found() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, found)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def lives(state: Path) -> bool:
    """Tell whether the shim of a state folder lives: its PID, with the start time that it had."""
    record = State.read(state)
    return record is not None and identity.alive(record.shim_pid, record.shim_start_ticks)


def ending(state: Path) -> Exit | None:
    """Return the exit record of a state folder, if there is one."""
    return Exit.read(state)


def warnings(state: Path) -> list[str]:
    """Return what a shim could not do and went on without."""
    record = State.read(state)
    return [] if record is None else record.warnings
