"""What the init writes: from its pipes or terminal to the log and to attached sessions.

Every session gets every byte from its attachment on, in order. What a session has not taken waits in its socket, about
200 KiB; when that is full, reading stops, and the container's process blocks once its pipe is full, as it would on a
slow terminal. A session has to take most of that (the kernel says when) within 10 seconds, else it is cut off, and the
process goes on: no session holds a container to less than about 15 KiB a second.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from scow.shim.keeper import link
from scow.shim.keeper.logfile import LogFile

CHUNK = 64 << 10
STALL_SECONDS = 10.0
_PIPE_AT_MOST = 1 << 20  # what a pipe can hold: /proc/sys/fs/pipe-max-size
_WANTS = {link.STDOUT: link.WANTS_STDOUT, link.STDERR: link.WANTS_STDERR}
_NAMES = {link.STDOUT: "stdout", link.STDERR: "stderr"}


class Session:
    """One attached client: its socket, and what did not fit into it."""

    __slots__ = ("deadline", "ended", "mask", "pending", "socket")

    def __init__(self, sock: socket.socket, mask: int) -> None:
        self.socket = sock
        self.mask = mask
        self.pending: list[tuple[bytes, bytes]] = []
        self.deadline = 0.0
        self.ended = False


class Output:
    """Reads what the init writes, and hands it on."""

    __slots__ = (
        "_begun",
        "_finished",
        "_log",
        "_poll",
        "_reading",
        "_run",
        "_written",
        "sessions",
        "sources",
    )

    def __init__(self, poll: select.epoll, log: LogFile | None) -> None:
        self._poll = poll
        self._log = log
        self._begun = False
        self._reading = False
        self._finished = False
        # Which start of the container this is, and bytes that it has written.
        self._run = log.run if log is not None else time.time_ns()
        self._written = {link.STDOUT: 0, link.STDERR: 0}
        self.sources: dict[int, bytes] = {}
        self.sessions: dict[int, Session] = {}

    def add_source(self, fd: int, kind: bytes) -> None:
        """Take the reading end of a pipe, or the master of a terminal."""
        os.set_blocking(fd, False)
        self.sources[fd] = kind

    def start(self) -> None:
        """Begin to read."""
        self._begun = True
        if not self._reading:
            self._reading = True
            for fd in self.sources:
                self._poll.register(fd, select.EPOLLIN)

    def _stop(self) -> None:
        if self._reading:
            self._reading = False
            for fd in self.sources:
                self._poll.unregister(fd)

    @property
    def _full(self) -> bool:
        return any(session.pending for session in self.sessions.values())

    def readable(self, fd: int) -> None:
        """Read from a source that has something, or has ended."""
        if self._reading and self._read(fd) is False:
            self._close_source(fd)
        if self._full:
            self._stop()

    def _read(self, fd: int) -> bool | None:
        """Read one piece; None when there is nothing now, False at the end."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody has the terminal open any more
                raise
            return False
        if not data:
            return False
        kind = self.sources[fd]
        self._written[kind] += len(data)
        if self._log is not None:
            self._log.write(_NAMES[kind], data)
        for session in list(self.sessions.values()):
            if session.mask & _WANTS[kind]:
                self._feed(session, kind, data)
        return True

    def _close_source(self, fd: int) -> None:
        if self._reading:
            self._poll.unregister(fd)
        del self.sources[fd]
        os.close(fd)

    def attach(self, fd: int, mask: int) -> None:
        """Add a session; after the end it gets nothing but its position.

        Args:
            fd: Its socket.
            mask: What it wants (see `link`).
        """
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        self.sessions[fd] = session = Session(sock, mask)
        self._poll.register(fd, 0)  # the end of the other side is always told
        unlogged = self._unlogged() if mask & link.WANTS_UNLOGGED else {}
        before = (written - len(unlogged.get(kind, b"")) for kind, written in self._written.items())
        self._feed(session, link.ATTACHED, link.POSITION.pack(self._run, *before))
        for kind, data in unlogged.items():
            if data and mask & _WANTS[kind]:
                self._feed(session, kind, data)
        if self._finished:
            self._end(session)

    def _unlogged(self) -> dict[bytes, bytes]:
        """Return the unfinished lines."""
        log = self._log
        if log is None:
            return {}
        return {kind: log.unfinished(name) for kind, name in _NAMES.items()}

    def _end(self, session: Session) -> None:
        session.ended = True
        self._feed(session, link.END, b"")

    def _feed(self, session: Session, kind: bytes, data: bytes) -> None:
        session.pending.append((kind, data))
        if len(session.pending) == 1:
            self._flush(session)

    def _flush(self, session: Session) -> None:
        """Send what waits, as far as there is room."""
        fd = session.socket.fileno()
        try:
            while session.pending:
                kind, data = session.pending[0]
                session.socket.sendmsg([kind, data], (), socket.MSG_NOSIGNAL)
                del session.pending[0]
        except BlockingIOError:
            session.deadline = time.monotonic() + STALL_SECONDS
            self._poll.modify(fd, select.EPOLLOUT)
            return
        except OSError:  # its talker is gone
            self._drop(session)
            return
        session.deadline = 0.0
        if session.ended:
            self._drop(session)
        else:
            self._poll.modify(fd, 0)

    def _drop(self, session: Session) -> None:
        self.sessions.pop(session.socket.fileno(), None)
        session.socket.close()

    def session_event(self, fd: int, events: int) -> None:
        """Go on with a session whose socket has room again, or whose other side is closed."""
        session = self.sessions[fd]
        if events & (select.EPOLLHUP | select.EPOLLERR):
            self._drop(session)
        else:
            self._flush(session)
        self._resume()

    def _resume(self) -> None:
        if self._begun and self.sources and not self._reading and not self._full:
            self.start()

    def timeout(self) -> float:
        """Return the seconds until a session is to be cut off; -1 while none is stuck."""
        due = [session.deadline for session in self.sessions.values() if session.deadline]
        return max(min(due) - time.monotonic(), 0.0) if due else -1

    def cut_stuck(self) -> None:
        """Cut off sessions that took nothing for too long."""
        now = time.monotonic()
        for session in list(self.sessions.values()):
            if session.deadline and session.deadline <= now:
                self._drop(session)
        self._resume()

    def finish(self) -> None:
        """The init has ended: deliver what is in the pipes, close the log, and end every session."""
        for fd in list(self.sources):
            for _ in range(_PIPE_AT_MOST // CHUNK):  # and no more: something may still write
                if not self._read(fd):
                    break
            self._close_source(fd)
        if self._log is not None:
            self._log.close()
            self._log = None
        self._finished = True
        for session in list(self.sessions.values()):
            self._end(session)

    def collected(self, pid: int, status: int) -> bool:
        """Take the end of a child of the keeper; tell whether it was the log's."""
        return self._log is not None and self._log.collected(pid, status)

    def close_all(self) -> None:
        """Close, in a forked child, what is the keeper's."""
        for fd in self.sources:
            os.close(fd)
        for session in self.sessions.values():
            session.socket.close()
        if self._log is not None:
            self._log.forget()
