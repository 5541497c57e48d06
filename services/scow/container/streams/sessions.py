"""Sessions: the stdio of a container's process, or of a further one, relayed between a client and the shim."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.container.v1 import container_pb2 as pb
from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.container.lifecycle.start import Starter
from scow.container.lifecycle.transitions import Next, after_exit
from scow.container.logs.records import Logs
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.model.invalid import invalid
from scow.container.runtime.shim import Ending, Shim, shim_error, shim_errors
from scow.container.shared import Shared
from scow.container.spec import process as defaults
from scow.container.streams.execs import Execs
from scow.contract.errors import InvalidArgument, ShimDied
from scow.core.times import now_ns

# For the removal of a container with `auto_remove`, before its client is told of the end.
_REMOVAL_SECONDS = 30.0


class Sessions:
    """Serves Attach and Exec."""

    def __init__(self, shared: Shared, starter: Starter, execs: Execs, logs: Logs) -> None:
        self._shared = shared
        self._starter = starter
        self._execs = execs
        self._logs = logs

    async def attach(
        self, requests: AsyncIterator[pb.AttachRequest]
    ) -> AsyncIterator[pb.AttachResponse]:
        """Relay the stdio of a container's process; with `start`, start it once that is connected."""
        first = await _first(requests)
        if not first.HasField("open"):
            raise _not_open()
        opened = first.open
        entry = self._shared.containers.find(opened.container)
        exits = entry.exits
        link = _AttachLink(entry, opened)
        async with contextlib.aclosing(link):
            await self._connect(entry, opened, link)
            yield pb.AttachResponse(attached=True)
            if opened.logs and entry.described.log_path:
                async for record in self._past(entry, opened):
                    yield record
            link.pump(requests)
            async for response in link.output():
                yield response
        yield await self._end(entry, exits, link.ending)

    async def _connect(
        self, entry: Entry, opened: pb.AttachRequest.Open, link: _AttachLink
    ) -> None:
        window = (opened.window_size.rows, opened.window_size.columns)
        if opened.start and await self._starter.start(entry, before=link.connect, window=window):
            return
        states.require_running(entry.described)
        assert entry.shim is not None
        with shim_errors(entry.id):
            await link.connect(entry.shim)

    async def _past(
        self, entry: Entry, opened: pb.AttachRequest.Open
    ) -> AsyncIterator[pb.AttachResponse]:
        """Yield what the log had when the streams were connected."""
        request = pb.LogsRequest(stdout=opened.stdout, stderr=opened.stderr)
        request.until.FromNanoseconds(now_ns())
        async for some in self._logs.read(entry, request):
            for records in some:
                if records.stream == "stdout":
                    yield pb.AttachResponse(stdout=records.data)
                else:
                    yield pb.AttachResponse(stderr=records.data)

    async def _end(self, entry: Entry, exits: int, ending: Ending | None) -> pb.AttachResponse:
        """Return the last message, once the end is recorded and, with `auto_remove`, the container is gone."""
        await entry.until(lambda: entry.exits > exits or entry.gone)
        code, oom_killed = entry.described.exit_code, entry.described.oom_killed
        if ending is not None:
            code, oom_killed = ending.code, ending.oom_killed
        if after_exit(entry) is Next.REMOVE:
            await entry.until(lambda: entry.gone or entry.restarting, _REMOVAL_SECONDS)
        return pb.AttachResponse(exit=pb.AttachResponse.Exit(code=code, oom_killed=oom_killed))

    async def exec(self, requests: AsyncIterator[pb.ExecRequest]) -> AsyncIterator[pb.ExecResponse]:
        """Run a further process and relay its stdio."""
        first = await _first(requests)
        if not first.HasField("open"):
            raise _not_open()
        opened = first.open
        entry = self._shared.containers.find(opened.container)
        if not opened.config.args:
            raise invalid("config.args", "is empty", "name a command to execute")
        states.require_running(entry.described)
        assert entry.shim is not None
        link = _ExecLink(entry, opened, secrets.token_hex(32))
        async with contextlib.aclosing(link):
            with shim_errors(entry.id):
                pid = await link.connect(entry.shim)
            self._execs.begin(entry, link.exec_id, pid, opened.config.args)
            try:
                yield pb.ExecResponse(
                    started=pb.ExecResponse.Started(exec_id=link.exec_id, pid=pid)
                )
                if not opened.detach:
                    link.pump(requests)
                    async for response in link.output():
                        yield response
            finally:
                if link.ending is not None:
                    self._execs.end(entry, link.exec_id, link.ending.code)
                else:  # detached, or the client went away: the process goes on
                    self._execs.follow(entry, link.exec_id)
        if link.ending is not None:
            yield pb.ExecResponse(exit=pb.ExecResponse.Exit(code=link.ending.code))


class _Link:
    """A stream between a client's call and a call of the shim; counted until all output is delivered."""

    def __init__(self, entry: Entry) -> None:
        self.ending: Ending | None = None
        self._entry = entry
        self._call: Any = None
        self._input: asyncio.Task[None] | None = None
        self._counted = contextlib.ExitStack()

    async def aclose(self) -> None:
        """End the stream; the process goes on."""
        if self._input is not None:
            self._input.cancel()
        if self._call is not None:
            self._call.cancel()
        self._counted.close()

    def pump(self, requests: AsyncIterator[Any]) -> None:
        """Hand on the client's input from now on."""
        self._input = asyncio.create_task(self._pump(requests))

    async def _pump(self, requests: AsyncIterator[Any]) -> None:
        # The shim may end the stream at any time: what comes too late is dropped.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            async for request in requests:
                kind = request.WhichOneof("message")
                if kind in ("stdin", "close_stdin"):
                    await self._call.write(self._request(**{kind: getattr(request, kind)}))
                elif kind == "resize":
                    await self._call.write(self._request(resize=_size(request.resize)))

    def _request(self, **fields: Any) -> Any:
        raise NotImplementedError

    async def _messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield ("stdout" or "stderr", bytes) up to the end, which is kept in `ending`."""
        while (message := await self._read()) is not None:
            kind = message.WhichOneof("message")
            if kind == "exit":
                self.ending = Ending.of_message(message.exit)
            elif kind in ("stdout", "stderr"):
                yield kind, getattr(message, kind)
        self._counted.close()

    async def _read(self) -> Any:
        """Return the shim's next message; None after the last."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self._lost(error)
            return None
        return None if message is grpc.aio.EOF else message

    def _lost(self, error: grpc.aio.AioRpcError) -> None:
        """Raise why the stream broke."""
        raise shim_error(self._entry.id, error) from error


class _AttachLink(_Link):
    """The stdio of the container's process."""

    def __init__(self, entry: Entry, opened: pb.AttachRequest.Open) -> None:
        super().__init__(entry)
        self._opened = opened

    async def connect(self, shim: Shim) -> None:
        """Connect to the shim; what is written from then on is delivered."""
        self._counted.enter_context(self._entry.session())
        self._call = shim.stub.Attach()
        config = self._entry.described.config
        opened = shim_pb.AttachRequest.Open(
            stdin=self._opened.stdin and config.stdin_open,
            stdout=self._opened.stdout,
            stderr=self._opened.stderr,
        )
        await self._call.write(shim_pb.AttachRequest(open=opened))
        if config.tty and self._opened.HasField("window_size"):
            await self._call.write(self._request(resize=_size(self._opened.window_size)))
        await self._read()

    def _request(self, **fields: Any) -> shim_pb.AttachRequest:
        return shim_pb.AttachRequest(**fields)

    def _lost(self, error: grpc.aio.AioRpcError) -> None:
        """Raise why the stream broke; of a shim that died the container's own end tells."""
        lost = shim_error(self._entry.id, error)
        if not isinstance(lost, ShimDied):
            raise lost from error

    async def output(self) -> AsyncIterator[pb.AttachResponse]:
        """Yield what the process writes, up to its end."""
        async for kind, data in self._messages():
            if kind == "stdout":
                yield pb.AttachResponse(stdout=data)
            else:
                yield pb.AttachResponse(stderr=data)


class _ExecLink(_Link):
    """The stdio of a further process."""

    def __init__(self, entry: Entry, opened: pb.ExecRequest.Open, exec_id: str) -> None:
        super().__init__(entry)
        self._opened = opened
        self.exec_id = exec_id

    async def connect(self, shim: Shim) -> int:
        """Start the process; return its PID."""
        self._counted.enter_context(self._entry.session())
        self._call = shim.stub.Exec()
        opened = shim_pb.ExecRequest.Open(
            exec_id=self.exec_id,
            process=process(self._entry.described, self._opened),
            stdin=self._opened.stdin,
            detach=self._opened.detach,
        )
        await self._call.write(shim_pb.ExecRequest(open=opened))
        message = await self._read()
        return 0 if message is None else int(message.started.pid)

    def _request(self, **fields: Any) -> shim_pb.ExecRequest:
        return shim_pb.ExecRequest(**fields)

    async def output(self) -> AsyncIterator[pb.ExecResponse]:
        """Yield what the process writes, up to its end."""
        async for kind, data in self._messages():
            if kind == "stdout":
                yield pb.ExecResponse(stdout=data)
            else:
                yield pb.ExecResponse(stderr=data)


def process(described: pb.Container, opened: pb.ExecRequest.Open) -> shim_pb.Process:
    """Return the process of an exec session: what it does not say is the container's."""
    config = opened.config
    return shim_pb.Process(
        args=config.args,
        env=defaults.process_env(described, tty=config.tty, more=config.env),
        cwd=config.working_dir or described.working_dir,
        user=config.user or described.user,
        terminal=config.tty,
        privileged=config.privileged,
        add_groups=described.config.group_add,
        window_size=_size(opened.window_size) if opened.HasField("window_size") else None,
    )


def _size(size: pb.WindowSize) -> shim_pb.WindowSize:
    return shim_pb.WindowSize(rows=size.rows, columns=size.columns)


async def _first(requests: AsyncIterator[Any]) -> Any:
    async for request in requests:
        return request
    raise _not_open()


def _not_open() -> InvalidArgument:
    return InvalidArgument(
        "the first message of the stream does not open a session",
        what="message",
        which="open",
        do="send a message with `open` set first",
    )
