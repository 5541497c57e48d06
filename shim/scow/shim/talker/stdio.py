"""The stdio of an exec session's process: its pipes or terminal on one side, sessions on the other.

Every session gets every byte from its attachment on, in order. A session that does not keep up may fall behind by
256 KiB; then reading stops, and the process blocks once its pipe is full, as it would on a slow terminal.
A session that takes nothing at all for 10 seconds is cut off with an error, and the process goes on.

The latest 256 KiB of the output are kept, for a session that comes back after its connection was lost.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import deque
from collections.abc import Callable, Mapping

from scow.contract.errors import ContainerNotRunning, LimitExceeded, ScowError
from scow.contract.log_lines import STREAMS
from scow.shim.rootfs import devices

_CHUNK = 32 << 10
_BEHIND = 256 << 10
_KEPT = 256 << 10
_PIECE = 200  # bytes that a piece of it takes besides what is in it
_PIPE_AT_MOST = 1 << 20  # what a pipe can hold: /proc/sys/fs/pipe-max-size
STALL_SECONDS = 10.0
_END_OF_TRANSMISSION = b"\x04"


class Session:
    """One attached client's share of the output."""

    def __init__(self, streams: frozenset[str], changed: Callable[[], None]) -> None:
        self.streams = streams
        self._changed = changed
        self._queue: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._error: ScowError | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether it is as far behind as it may be."""
        return self._size > _BEHIND and not self._ended

    def feed(self, stream: str, data: bytes) -> None:
        """Queue output."""
        if self._ended or stream not in self.streams:
            return
        self._queue.append((stream, data))
        self._size += len(data)
        self._wake.set()
        if self.full and self._stall is None:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(STALL_SECONDS, self._cut)

    def end(self) -> None:
        """No more output follows."""
        self._ended = True
        self._unstall()
        self._wake.set()

    def _cut(self) -> None:
        self._error = LimitExceeded(
            f"this client took no output for {STALL_SECONDS:.0f} seconds while {self._size} bytes waited",
            what="attach",
            do="read faster, or follow the log instead",
        )
        self._queue.clear()
        self.end()
        self._changed()

    def _unstall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    async def next(self) -> tuple[str, bytes] | None:
        """Return the next piece of output; None after the last.

        Raises:
            ResourceExhausted after the session was cut off.
        """
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        was_full = self.full
        stream, data = self._queue.popleft()
        self._size -= len(data)
        self._unstall()
        if was_full:
            if self.full:
                loop = asyncio.get_running_loop()
                self._stall = loop.call_later(STALL_SECONDS, self._cut)
            else:
                self._changed()
        return stream, data


class Input:
    """The writing end of a process's stdin: a pipe, or the master of its terminal."""

    def __init__(self, fd: int, *, terminal: bool) -> None:
        self._fd = fd
        self.terminal = terminal
        self._lock = asyncio.Lock()
        self._ready: asyncio.Future[None] | None = None

    @property
    def open(self) -> bool:
        """Whether input can be written."""
        return self._fd >= 0

    def resize(self, rows: int, columns: int) -> None:
        """Set the window size of the terminal."""
        devices.set_size(self._fd, rows, columns)

    async def write(self, data: bytes) -> None:
        """Pass input on; waits while the process does not read. Input after its end is dropped."""
        async with self._lock:  # one session's message is not mixed with another's
            view = memoryview(data)
            while view and self._fd >= 0:
                try:
                    view = view[os.write(self._fd, view) :]
                except BlockingIOError:
                    await self._writable()
                except BrokenPipeError:
                    self.close()
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    return

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        fd = self._fd
        self._ready = loop.create_future()
        loop.add_writer(fd, self._stop_waiting)
        try:
            await self._ready
        finally:
            if self._fd == fd:
                loop.remove_writer(fd)
            self._ready = None

    def _stop_waiting(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def end(self) -> None:
        """End the process's input: close its pipe, or type the end-of-file character on its terminal."""
        if self.terminal:
            await self.write(_END_OF_TRANSMISSION)
        else:
            self.close()

    def close(self) -> None:
        """Close the pipe, or let go of the terminal."""
        if self._fd < 0:
            return
        asyncio.get_running_loop().remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._stop_waiting()


class Stdio:
    """Both sides of one process's stdio. Give `child` to the process, then call `started`."""

    def __init__(self, *, terminal: bool, stdin: bool) -> None:
        # Which process this is, and bytes that it has written.
        self.run = time.time_ns()
        self.written = dict.fromkeys(STREAMS, 0)
        self._sources: dict[int, str] = {}
        self._reading = False
        self._sessions: set[Session] = set()
        self._input = Input(-1, terminal=terminal)
        self.terminal = terminal
        self.ended = False
        # Whether output is kept; what is, with its stream and what came before it, and how many bytes that is.
        self.keeps = True
        self._kept: deque[tuple[str, int, bytearray]] = deque()
        self._kept_size = 0
        self.child = self._make(terminal, stdin)

    def _make(self, terminal: bool, stdin: bool) -> tuple[int, int, int]:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if terminal:  # the terminal comes from the container's devpts: see `adopt`
            return null, null, null
        read = null
        if stdin:
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(write, False)
            self._input = Input(write, terminal=False)
        ends = []
        for name in ("stdout", "stderr"):
            source, end = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(source, False)
            self._sources[source] = name
            ends.append(end)
        if read != null:
            os.close(null)
        return read, ends[0], ends[1]

    def close_child_side(self) -> None:
        """Close the process's ends in this process, once it was forked."""
        for fd in set(self.child):
            os.close(fd)

    def adopt(self, master: int) -> None:
        """Take the master of the process's terminal."""
        os.set_blocking(master, False)
        self._sources[master] = "stdout"
        self._input = Input(os.dup(master), terminal=True)

    def start(self) -> None:
        """Begin to read."""
        self._reading = True
        self._update()

    def _update(self) -> None:
        """Read when no session is too far behind, otherwise wait."""
        loop = asyncio.get_running_loop()
        wanted = self._reading and not any(session.full for session in self._sessions)
        for fd in self._sources:
            if wanted:
                loop.add_reader(fd, self._on_readable, fd)
            else:
                loop.remove_reader(fd)

    def _on_readable(self, fd: int) -> None:
        if self._read(fd) is False:
            self._close_source(fd)

    def _read(self, fd: int) -> bool | None:
        """Read one piece; None when there is nothing now, False at the end."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody has the terminal open any more
                raise
            data = b""
        if not data:
            return False
        stream = self._sources[fd]
        if self.keeps:
            self._keep(stream, data)
        self.written[stream] += len(data)
        for session in self._sessions:
            session.feed(stream, data)
        if any(session.full for session in self._sessions):
            self._update()
        return True

    def _keep(self, stream: str, data: bytes) -> None:
        """Keep output. What is written byte by byte becomes few pieces, as each takes much more than a byte."""
        if (
            self._kept
            and self._kept[-1][0] == stream
            and len(self._kept[-1][2]) <= _CHUNK - len(data)
        ):
            self._kept[-1][2].extend(data)
            self._kept_size += len(data)
        else:
            self._kept.append((stream, self.written[stream], bytearray(data)))
            self._kept_size += len(data) + _PIECE
        while self._kept_size > _KEPT:
            self._kept_size -= len(self._kept.popleft()[2]) + _PIECE

    def _close_source(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        del self._sources[fd]
        if self.terminal:
            self._input.close()
        os.close(fd)

    def finish(self) -> None:
        """The process has ended: deliver what is in the pipes, and end every session.

        A process that it left behind may hold the pipe (exec of `daemon &`). Its output is read and
        dropped, so that it does not die of SIGPIPE.
        """
        for fd in tuple(self._sources):
            for _ in range(_PIPE_AT_MOST // _CHUNK):  # and no more: something may still write
                outcome = self._read(fd)
                if not outcome:
                    break
            if outcome is False:
                self._close_source(fd)
        self.ended = True
        for session in self._sessions:
            session.end()
        self._sessions.clear()
        self.close_stdin()
        self._update()

    def close(self) -> None:
        """Drop everything."""
        for fd in tuple(self._sources):
            self._close_source(fd)

    def attach(
        self, *, stdout: bool, stderr: bool, known: Mapping[str, int] | None = None
    ) -> tuple[Session, Mapping[str, int]]:
        """Add a session; on a terminal all output is stdout.

        Args:
            stdout: It wants this.
            stderr: And this.
            known: Bytes of each stream that it has; what is kept of the rest comes first.

        Returns:
            The session, and how many bytes of each stream come before what it gets.
        """
        chosen = {name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted}
        session = Session(frozenset(chosen), self._update)
        position = dict(self.written)
        if known is not None:
            for stream, before, data in self._kept:
                new = bytes(data[max(0, known[stream] - before) :])
                if new and stream in chosen:
                    session.feed(stream, new)
                    position[stream] = min(position[stream], before + len(data) - len(new))
        if self.ended:
            session.end()
        else:
            self._sessions.add(session)
        return session, position

    def detach(self, session: Session) -> None:
        """Remove a session."""
        session.end()
        self._sessions.discard(session)
        if self._reading:
            self._update()

    def resize(self, rows: int, columns: int) -> None:
        """Set the window size.

        Raises:
            FailedPrecondition when there is no terminal.
        """
        master = next(iter(self._sources), -1)
        if not self.terminal or master < 0:
            text = "this process has no terminal" if not self.terminal else "the process has ended"
            raise ContainerNotRunning(text, what="terminal")
        devices.set_size(master, rows, columns)

    async def write_stdin(self, data: bytes) -> None:
        """Pass input on; waits while the process does not read. Input after its end is dropped."""
        await self._input.write(data)

    async def end_stdin(self) -> None:
        """End the process's input: close its pipe, or type the end-of-file character on its terminal."""
        await self._input.end()

    def close_stdin(self) -> None:
        """Close the pipe of stdin; a terminal stays."""
        if not self.terminal:
            self._input.close()
