"""Sessions: the stdio of a container's process, or of a further one, relayed between a client and the shim."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.container.lifecycle.start import Starter
from scow.container.lifecycle.transitions import Next, after_exit
from scow.container.logs import options
from scow.container.logs.files import Cursor
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.model.invalid import invalid
from scow.container.runtime.shim import Shim, Stream, exit_of
from scow.container.shared import Shared
from scow.container.spec import process as defaults
from scow.container.streams.execs import Execs
from scow.container.streams.replay import Piece, Replay
from scow.contract.errors import ContainerNotRunning, InvalidArgument, ShimDied
from scow.contract.log_lines import STREAMS
from scow.contract.shim_files import Exit

# For the removal of a container with `auto_remove`, before its client is told of the end.
_REMOVAL_SECONDS = 30.0
# Until a shim that could not be reached is asked again, if its container has not ended by then.
_RETRY_SECONDS = 0.5


class Sessions:
    """Serves Attach and Exec."""

    def __init__(self, shared: Shared, starter: Starter, execs: Execs) -> None:
        self._shared = shared
        self._starter = starter
        self._execs = execs

    async def attach(
        self, requests: AsyncIterator[pb.AttachRequest]
    ) -> AsyncIterator[pb.AttachResponse]:
        """Relay the stdio of a container's process; with `start`, start it once that is connected."""
        first = await _first(requests)
        if not first.HasField("open"):
            raise _not_open()
        opened = first.open
        entry = self._shared.containers.find(opened.container)
        resumes = opened.HasField("resume")
        exits = entry.exits if entry.alive or not resumes else -1
        link = _AttachLink(entry, opened)
        outputs = self._resumed if resumes else self._attached
        with entry.returned() if resumes else contextlib.nullcontext():
            async with (
                contextlib.aclosing(link),
                contextlib.aclosing(outputs(entry, opened, link, requests)) as responses,
            ):
                async for response in responses:
                    yield response
        yield await self._end(entry, exits, link.ending)

    async def _attached(
        self,
        entry: Entry,
        opened: pb.AttachRequest.Open,
        link: _AttachLink,
        requests: AsyncIterator[pb.AttachRequest],
    ) -> AsyncGenerator[pb.AttachResponse, None]:
        """Yield output from now on; with `logs`, first what the log has."""
        past = opened.logs and bool(entry.described.log_path)
        await self._connect(entry, opened, link, unlogged=past)
        warnings = entry.described.warnings if opened.start else ()
        yield pb.AttachResponse(attached=True, position=link.place, warnings=warnings)
        known = {} if past else link.position
        replay = Replay(link.place.run, known, _streams(opened), older=past)
        if past:
            replay.limit(link.position)
            with contextlib.closing(_cursor(entry)) as cursor:
                async for piece in replay.logged(cursor):
                    yield _response(replay, piece)
        link.pump(requests)
        async for piece in link.output(replay):
            yield _response(replay, piece)

    async def _resumed(
        self,
        entry: Entry,
        opened: pb.AttachRequest.Open,
        link: _AttachLink,
        requests: AsyncIterator[pb.AttachRequest],
    ) -> AsyncGenerator[pb.AttachResponse, None]:
        """Yield output from where the client was cut off: of the log, then live if the process still runs.

        Most of the log is read before the shim is asked, which then need not wait for a slow client.
        """
        resume = opened.resume
        replay = Replay(resume.run, _position(resume), _streams(opened))
        yield pb.AttachResponse(attached=True)
        with contextlib.closing(_cursor(entry)) as cursor:
            while not link.connected:
                # In this order: an end that is recorded means that the log is complete.
                ended = not entry.alive
                async for piece in replay.logged(cursor):
                    yield _response(replay, piece)
                if ended:
                    if not entry.described.log_path:
                        yield pb.AttachResponse(incomplete=True)
                    return
                with contextlib.suppress(ContainerNotRunning, ShimDied):
                    await self._connect(entry, opened, link, unlogged=True)
                if not link.connected:
                    # It has just ended; or its talker was killed meanwhile, and the next one answers.
                    await entry.until(lambda: not entry.alive or entry.gone, _RETRY_SECONDS)
            if link.place.run != resume.run:
                raise states.not_running(entry.described)  # it is another process
            replay.limit(link.position)
            async for piece in replay.logged(cursor):
                yield _response(replay, piece)
        for piece in replay.missing(link.position):
            yield _response(replay, piece)
        link.pump(requests)
        async for piece in link.output(replay):
            yield _response(replay, piece)

    async def _connect(
        self,
        entry: Entry,
        opened: pb.AttachRequest.Open,
        link: _AttachLink,
        *,
        unlogged: bool,
    ) -> None:
        link.unlogged = unlogged
        window = (opened.window_size.rows, opened.window_size.columns)
        if opened.start and await self._starter.start(entry, before=link.connect, window=window):
            return
        if not (opened.HasField("resume") and entry.alive):  # one that was paused is attached still
            states.require_running(entry.described)
        assert entry.shim is not None
        await link.connect(entry.shim)

    async def _end(self, entry: Entry, exits: int, ending: Exit | None) -> pb.AttachResponse:
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
        if not opened.config.args and not opened.exec_id:
            raise invalid("config.args", "is empty", "name a command to execute")
        if opened.exec_id and not entry.alive:
            for response in self._ended(entry, opened.exec_id):
                yield response
            return
        if not opened.exec_id:
            states.require_running(entry.described)
        assert entry.shim is not None
        link = _ExecLink(entry, opened)
        async with contextlib.aclosing(link):
            started = await link.connect(entry.shim)
            if not opened.exec_id:
                self._execs.begin(entry, link.exec_id, started.pid, opened.config)
            try:
                yield pb.ExecResponse(started=started)
                if not opened.detach:
                    link.pump(requests)
                    async for stream, data in link.output():
                        yield pb.ExecResponse(**{stream: data})  # type: ignore[arg-type]
            finally:
                if link.ending is not None:
                    self._execs.end(entry, link.exec_id, link.ending.code)
                else:  # detached, or the client went away: the process goes on
                    self._execs.follow(entry, link.exec_id)
        if link.ending is not None:
            yield pb.ExecResponse(exit=pb.ExecResponse.Exit(code=link.ending.code))

    def _ended(self, entry: Entry, exec_id: str) -> list[pb.ExecResponse]:
        """Return what is told of a session that ended with its container."""
        code = self._execs.ended(entry, exec_id)
        started = pb.ExecResponse.Started(exec_id=exec_id)
        exit_code = pb.ExecResponse.Exit(code=code)
        return [
            pb.ExecResponse(started=started, incomplete=True),
            pb.ExecResponse(exit=exit_code),
        ]


class _Link:
    """A stream between a client's call and a call of the shim; counted until all output is delivered."""

    def __init__(self, entry: Entry) -> None:
        self.ending: Exit | None = None
        self._entry = entry
        self._call: Stream | None = None
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
        assert self._call is not None
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
                self.ending = exit_of(message.exit)
            elif kind in ("stdout", "stderr"):
                yield kind, getattr(message, kind)
        self._counted.close()

    async def _read(self) -> Any:
        """Return the shim's next message; None after the last."""
        assert self._call is not None
        return await self._call.read()


class _AttachLink(_Link):
    """The stdio of the container's process."""

    def __init__(self, entry: Entry, opened: pb.AttachRequest.Open) -> None:
        super().__init__(entry)
        self._opened = opened
        # Also deliver what the log does not have yet.
        self.unlogged = False
        # Of the process and of what is delivered in its output.
        self.place = pb.OutputPosition()
        self.connected = False

    @property
    def position(self) -> dict[str, int]:
        """How many bytes of each stream came before what is delivered."""
        return _position(self.place)

    async def connect(self, shim: Shim) -> None:
        """Connect to the shim; what is written from then on is delivered."""
        self._counted.enter_context(self._entry.session())
        config = self._entry.described.config
        opened = shim_pb.AttachRequest.Open(
            stdin=self._opened.stdin and config.stdin_open,
            stdout=self._opened.stdout,
            stderr=self._opened.stderr,
            unlogged=self.unlogged,
        )
        self._call = await shim.attach(opened)
        if config.tty and self._opened.HasField("window_size"):
            await self._call.write(self._request(resize=_size(self._opened.window_size)))
        answer = await self._read()
        if answer is not None:
            place = answer.position
            self.place = pb.OutputPosition(run=place.run, stdout=place.stdout, stderr=place.stderr)
            self.connected = True

    def _request(self, **fields: Any) -> shim_pb.AttachRequest:
        return shim_pb.AttachRequest(**fields)

    async def _read(self) -> Any:
        """Return the shim's next message; of a shim that died the container's own end tells."""
        try:
            return await super()._read()
        except (ShimDied, ContainerNotRunning):
            return None

    async def output(self, replay: Replay) -> AsyncIterator[Piece]:
        """Yield what the process writes and the client does not have, up to its end."""
        position = self.position
        async for stream, data in self._messages():
            piece = replay.take(stream, position[stream], data)
            position[stream] += len(data)
            if piece is not None:
                yield piece


class _ExecLink(_Link):
    """The stdio of a further process."""

    def __init__(self, entry: Entry, opened: pb.ExecRequest.Open) -> None:
        super().__init__(entry)
        self._opened = opened
        self.exec_id = opened.exec_id or secrets.token_hex(32)

    async def connect(self, shim: Shim) -> pb.ExecResponse.Started:
        """Start the process, or connect to the one that was started before."""
        self._counted.enter_context(self._entry.session())
        opened = shim_pb.ExecRequest.Open(
            exec_id=self.exec_id,
            stdin=self._opened.stdin,
            detach=self._opened.detach,
            attach=bool(self._opened.exec_id),
        )
        if self._opened.HasField("resume"):
            resume = self._opened.resume
            opened.resume.run = resume.run
            opened.resume.stdout, opened.resume.stderr = resume.stdout, resume.stderr
        if not opened.attach:
            opened.process.MergeFrom(process(self._entry.described, self._opened))
        self._call = await shim.exec(opened)
        if opened.attach and self._opened.HasField("window_size"):
            await self._call.write(self._request(resize=_size(self._opened.window_size)))
        message = await self._read()
        started = pb.ExecResponse.Started(exec_id=self.exec_id)
        if message is not None:
            place = message.started.position
            started.pid = message.started.pid
            started.position.MergeFrom(
                pb.OutputPosition(run=place.run, stdout=place.stdout, stderr=place.stderr)
            )
        return started

    def _request(self, **fields: Any) -> shim_pb.ExecRequest:
        return shim_pb.ExecRequest(**fields)

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield what the process writes, up to its end."""
        return self._messages()


def _position(place: pb.OutputPosition) -> dict[str, int]:
    return {"stdout": place.stdout, "stderr": place.stderr}


def _streams(opened: pb.AttachRequest.Open) -> set[str]:
    return {stream for stream in STREAMS if getattr(opened, stream)}


def _cursor(entry: Entry) -> Cursor:
    """Return a cursor at the beginning of a container's log; without a log there is nothing to read."""
    form = options.parse(entry.described.config.log).form
    return Cursor(Path(entry.described.log_path or os.devnull), form)


def _response(replay: Replay, piece: Piece) -> pb.AttachResponse:
    response = pb.AttachResponse()
    if piece.data:
        setattr(response, piece.stream, piece.data)
    if piece.missing:
        before = {**replay.reached, piece.stream: replay.reached[piece.stream] - len(piece.data)}
        response.position.MergeFrom(pb.OutputPosition(run=replay.run, **before))
    return response


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
