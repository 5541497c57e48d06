"""Sockets of services that run only while somebody needs them.

gRPC takes no socket that is open already. So the supervisor listens at the service's path; when somebody connects, it
starts the service, which puts a socket of its own in that place, and those who came before are relayed to it by a small
process that ends with them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_BACKLOG = 128
_PIECE = 1 << 18


class OnDemandSocket:
    """Listens in the place of a service.

    Args:
        path: The service's socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener: socket.socket | None = None

    def open(self) -> socket.socket:
        """Listen, in the place of what had the path; whoever connects from now on waits."""
        temporary = self.path.with_suffix(".door")
        temporary.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        old = os.umask(0o117)
        try:
            listener.bind(str(temporary))
        finally:
            os.umask(old)
        listener.listen(_BACKLOG)
        temporary.rename(self.path)
        self._listener = listener
        return listener

    @property
    def listener(self) -> socket.socket | None:
        """The socket, while it is open."""
        return self._listener

    def relay(self) -> None:
        """Hand those who wait over to the service, which listens at the path by now."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        if os.fork() == 0:
            try:
                _serve(listener, str(self.path))
            finally:
                os._exit(0)
        listener.close()

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self.path.unlink(missing_ok=True)


def _serve(listener: socket.socket, path: str) -> None:
    """Relay all connections of a listener until the last one has ended."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # What the supervisor has open would stay so for as long as the last connection lasts.
    os.closerange(3, listener.fileno())
    os.closerange(listener.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    with selectors.DefaultSelector() as selector:
        while True:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                break
            _connect(selector, client, path)
        listener.close()
        while selector.get_map():
            for key, events in selector.select():
                end: _End = key.data
                if events & selectors.EVENT_WRITE:
                    end.flush()
                if events & selectors.EVENT_READ:
                    end.read()


def _connect(selector: selectors.BaseSelector, client: socket.socket, path: str) -> None:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect(path)
    except OSError:
        client.close()
        server.close()
        return
    one, two = _End(selector, client), _End(selector, server)
    one.other, two.other = two, one
    for end in (one, two):
        end.watch()


class _End:
    """One end of a relayed connection. It reads no more while the other end has something to write."""

    other: _End

    def __init__(self, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        self._selector = selector
        self._connection = connection
        connection.setblocking(False)
        self._pending = b""
        self._open = True
        self._watched = 0

    def watch(self) -> None:
        """Wait for what can be done now."""
        events = selectors.EVENT_WRITE if self._pending else 0
        if self._open and not self.other._pending:
            events |= selectors.EVENT_READ
        if events == self._watched:
            return
        if not self._watched:
            self._selector.register(self._connection, events, self)
        elif not events:
            self._selector.unregister(self._connection)
        else:
            self._selector.modify(self._connection, events, self)
        self._watched = events

    def read(self) -> None:
        """Read, and write to the other end."""
        try:
            data = self._connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.other._write(data)
        else:
            self._open = False
            with contextlib.suppress(OSError):
                self.other._connection.shutdown(socket.SHUT_WR)
            if not self.other._open:
                self._close()
                return
        self._rewatch()

    def _write(self, data: bytes) -> None:
        self._pending += data
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        try:
            sent = self._connection.send(self._pending) if self._pending else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close()
            return
        self._pending = self._pending[sent:]
        self._rewatch()

    def _rewatch(self) -> None:
        for end in (self, self.other):
            if end._connection.fileno() >= 0:
                end.watch()

    def _close(self) -> None:
        for end in (self, self.other):
            if end._watched:
                self._selector.unregister(end._connection)
                end._watched = 0
            end._connection.close()
            end._open = False
