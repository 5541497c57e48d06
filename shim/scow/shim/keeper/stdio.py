"""The stdio of a process: its pipes or terminal on one side; the log and attached sessions on the other.

Every session gets every byte from its attachment on, in order. A session that does not keep up may fall behind by
256 KiB; then reading stops, and the process blocks once its pipe is full, as it would on a slow terminal.
A session that takes nothing at all for 10 seconds is cut off with an error, and the process goes on.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import deque
from collections.abc import Callable, Mapping

from scow.contract.log_record import STREAMS
from scow.shim.errors import ShimError
from scow.shim.keeper.logfile import LogFile
from scow.shim.rootfs import devices

_CHUNK = 32 << 10
_BEHIND = 256 << 10
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
        self._error: ShimError | None = None
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
        self._error = ShimError(
            "RESOURCE_EXHAUSTED",
            "LIMIT_EXCEEDED",
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
            ShimError: RESOURCE_EXHAUSTED after the session was cut off.
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


class Stdio:
    """Both sides of one process's stdio. Give `child` to the process, then call `started`."""

    def __init__(self, *, terminal: bool, stdin: bool, log: LogFile | None = None) -> None:
        self._log = log
        # Which process this is, and bytes that it has written.
        self.run = log.run if log is not None else time.time_ns()
        self._written = dict.fromkeys(STREAMS, 0)
        self._sources: dict[int, str] = {}
        self._reading = False
        self._sessions: set[Session] = set()
        self._stdin = -1
        self._stdin_lock: asyncio.Lock | None = None
        self._stdin_ready: asyncio.Future[None] | None = None
        self.terminal = terminal
        self.ended = False
        self.child = self._make(terminal, stdin)

    def _make(self, terminal: bool, stdin: bool) -> tuple[int, int, int]:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if terminal:  # the terminal comes from the container's devpts: see `adopt`
            return null, null, null
        read = null
        if stdin:
            read, self._stdin = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._stdin, False)
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
        self._stdin = master

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
        self._written[stream] += len(data)
        if self._log is not None:
            self._log.write(stream, data)
        for session in self._sessions:
            session.feed(stream, data)
        if any(session.full for session in self._sessions):
            self._update()
        return True

    def _close_source(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        del self._sources[fd]
        if fd == self._stdin:  # a terminal: one descriptor for both ways
            asyncio.get_running_loop().remove_writer(fd)
            self._stdin = -1
            self._stop_waiting()
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
        if self._log is not None:
            self._log.close()
            self._log = None
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
        self, *, stdout: bool, stderr: bool, unlogged: bool = False
    ) -> tuple[Session, Mapping[str, int]]:
        """Add a session; on a terminal all output is stdout.

        Args:
            stdout: It gets standard output.
            stderr: It gets standard error.
            unlogged: It first gets the unfinished lines that are not in the log yet.

        Returns:
            The session, and how many bytes of each stream come before what it gets.
        """
        chosen = {name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted}
        session = Session(frozenset(chosen), self._update)
        position = dict(self._written)
        if unlogged and self._log is not None:
            for stream in STREAMS:
                if rest := self._log.unfinished(stream):
                    position[stream] -= len(rest)
                    session.feed(stream, rest)
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
            ShimError: FAILED_PRECONDITION when there is no terminal.
        """
        master = next(iter(self._sources), -1)
        if not self.terminal or master < 0:
            text = "this process has no terminal" if not self.terminal else "the process has ended"
            raise ShimError("FAILED_PRECONDITION", "CONTAINER_NOT_RUNNING", text, what="terminal")
        devices.set_size(master, rows, columns)

    async def write_stdin(self, data: bytes) -> None:
        """Pass input on; waits while the process does not read. Input after its end is dropped."""
        if self._stdin_lock is None:
            self._stdin_lock = asyncio.Lock()
        async with self._stdin_lock:  # one session's message is not mixed with another's
            view = memoryview(data)
            while view and self._stdin >= 0:
                try:
                    view = view[os.write(self._stdin, view) :]
                except BlockingIOError:
                    await self._writable()
                except BrokenPipeError:
                    self.close_stdin()
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    return

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        fd = self._stdin
        self._stdin_ready = loop.create_future()
        loop.add_writer(fd, self._stop_waiting)
        try:
            await self._stdin_ready
        finally:
            if self._stdin == fd:
                loop.remove_writer(fd)
            self._stdin_ready = None

    def _stop_waiting(self) -> None:
        if self._stdin_ready is not None and not self._stdin_ready.done():
            self._stdin_ready.set_result(None)

    async def end_stdin(self) -> None:
        """End the process's input: close its pipe, or type the end-of-file character on its terminal."""
        if self.terminal:
            await self.write_stdin(_END_OF_TRANSMISSION)
        else:
            self.close_stdin()

    def close_stdin(self) -> None:
        """Close the pipe of stdin."""
        if self.terminal or self._stdin < 0:
            return
        asyncio.get_running_loop().remove_writer(self._stdin)
        os.close(self._stdin)
        self._stdin = -1
        self._stop_waiting()
