"""The process that waits for the next command, and runs it. A fork of the server, which never talks to callers itself.

While it waits it rehearses: it runs a command up to its call of an engine, which writes to the pages that a command
writes to. It has one thread until it took the caller's place. To have gRPC's threads there before would save 2 ms a
command; but they read the environment while it is replaced.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import NoReturn

from scow.cli import startup
from scow.cli.__main__ import ByItself, command
from scow.cli.resident import surroundings
from scow.cli.resident.caller import (
    BEGUN,
    BY_YOURSELF,
    EXITED,
    HELLO,
    MESSAGE,
    MOST_BYTES,
    MOST_DESCRIPTORS,
)
from scow.cli.resident.program import Files, changed
from scow.cli.resident.surroundings import Inherited
from scow.contract.errors import Unavailable

# What a spare tells the server, with the connection: it took a command, or did not since the program's files changed.
TAKEN, STALE = b"t", b"x"
_NO_ENGINE = "unix:///nonexistent"
_CREDENTIALS = struct.Struct("3i")


class Spare:
    """One process for one command.

    Args:
        listener: Where callers connect; does not block.
        server: A socket to the server, which ends when that ends.
        files: What the program's files were when it was loaded.
        own: What the server has from its parent.
    """

    def __init__(
        self, listener: socket.socket, server: socket.socket, files: Files, own: Inherited
    ) -> None:
        self._listener = listener
        self._server = server
        self._files = files
        self._own = own

    def run(self) -> NoReturn:
        """Wait for a command, run it, and end."""
        connection = self._accept()
        if connection is None:
            self._rehearse()
        while connection is None:
            self._wait()
            connection = self._accept()
        self._listener.close()
        # An error: the server or the caller is gone, or the caller cannot be looked at.
        with contextlib.suppress(OSError):
            _Command(connection, self._is_taken, self._own).run()
        tell(connection, BY_YOURSELF)
        os._exit(0)

    def _rehearse(self) -> None:
        import grpc

        kept, grpc.insecure_channel = grpc.insecure_channel, _no_channel  # type: ignore[assignment]
        try:
            command(["--host", _NO_ENGINE, "ps", "-q"])
        finally:
            grpc.insecure_channel = kept
        changed(self._files)
        surroundings.inherited("self")

    def _is_taken(self, connection: socket.socket) -> bool:
        """Tell the server what becomes of the connection; return whether the command may run here.

        Raises:
            OSError: The server is gone.
        """
        stale = changed(self._files)
        socket.send_fds(self._server, [STALE if stale else TAKEN], [connection.fileno()])
        self._server.close()
        return not stale

    def _accept(self) -> socket.socket | None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return None
        connection.setblocking(True)
        return connection

    def _wait(self) -> None:
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        waiting.register(self._server, select.POLLIN)
        for descriptor, _ in waiting.poll():
            if descriptor == self._server.fileno():  # it says nothing: it has ended
                os._exit(0)


class _Command:
    """One command of one caller.

    Args:
        connection: From the caller.
        may_run: Tells the server, and whether the program is still the right one.
        own: What this process has from its parent.
    """

    def __init__(
        self,
        connection: socket.socket,
        may_run: Callable[[socket.socket], bool],
        own: Inherited,
    ) -> None:
        self._connection = connection
        self._may_run = may_run
        self._own = own

    def run(self) -> None:
        """Run it and end, or return where the caller has to.

        Raises:
            OSError: The caller is gone, or cannot be looked at.
        """
        pid = self._caller()
        if pid is None:
            return
        tell(self._connection, HELLO)
        # While the caller makes its request.
        may_run = self._may_run(self._connection)
        caller = surroundings.inherited(pid)
        if not may_run or caller.fixed != self._own.fixed:
            return
        arguments = self._take(caller)
        if arguments is None or not surroundings.end_with(self._lifeline):
            return
        surroundings.take_streams()
        try:
            code = startup.outcome(lambda: command(arguments, self._begin))
        except ByItself:
            return
        startup.leave(code, self._exited)

    def _caller(self) -> int | None:
        """Return the caller's PID, or None where it is another user, or in a PID namespace of its own."""
        size = _CREDENTIALS.size
        raw = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, user, group = _CREDENTIALS.unpack(raw)
        return pid if pid and (user, group) == (os.geteuid(), os.getegid()) else None

    def _take(self, caller: Inherited) -> list[str] | None:
        """Receive the request and put this process in the caller's place; return the arguments.

        Raises:
            OSError: The caller is gone.
        """
        data, received, _, _ = socket.recv_fds(self._connection, 1 << 16, MOST_DESCRIPTORS + 2)
        length = 4 + int.from_bytes(data[:4], sys.byteorder)
        if length > MOST_BYTES or len(received) < 2:
            return None
        data += _receive(self._connection, length - len(data))
        numbers, count, *texts = data[4:].split(b"\0")
        directory, self._lifeline, *inherited = received
        wanted = [int(number) for number in numbers.split()]
        os.fchdir(directory)
        os.close(directory)
        if not surroundings.take_descriptors(inherited, wanted):
            return None
        os.umask(caller.umask)
        surroundings.take_environment(texts[int(count) :])
        surroundings.take_signals(caller)
        return [os.fsdecode(text) for text in texts[: int(count)]]

    def _begin(self, reads_input: bool) -> None:
        """Say that the command begins.

        Raises:
            ByItself: It needs the caller's terminal. A process of another session is not stopped by reading a terminal
                from the background or by TOSTOP, is not hung up with it, and has no /dev/tty.
        """
        if (reads_input and os.isatty(0)) or _stops_output(1) or _stops_output(2):
            raise ByItself
        process = os.pidfd_open(os.getpid())
        socket.send_fds(self._connection, [BEGUN.ljust(MESSAGE, b"\0")], [process])
        os.close(process)

    def _exited(self, code: int) -> None:
        # Before anybody learns of the end, as when a process ends: a reader of a pipe sees its end.
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        tell(self._connection, EXITED, code)


def _no_channel(target: str, *_: object) -> NoReturn:
    raise Unavailable("rehearsal", what="engine", which=target, do="")


def _stops_output(descriptor: int) -> bool:
    """Tell whether a terminal stops processes in the background that write to it (stty tostop)."""
    if not os.isatty(descriptor):
        return False
    return bool(termios.tcgetattr(descriptor)[3] & termios.TOSTOP)


def tell(connection: socket.socket, kind: bytes, number: int = 0) -> None:
    """Send a message to a caller, which may be gone."""
    try:
        connection.send(kind + number.to_bytes(4, sys.byteorder), socket.MSG_NOSIGNAL)
    except OSError:
        return


def _receive(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count > 0:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise ConnectionResetError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
