"""The resident server: keeps a spare process waiting, and tells a caller when a signal ended its command.

`caller` executes it as `python -m scow.cli.resident.server NAME`, with the locked folder as descriptor 3. It has one
thread and no gRPC object, so that it can fork at any time. It ends when no command came for some minutes, when the
program's files change, or when anything is odd: callers then run their commands themselves, and the next one starts
another.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import socket
import sys
import time
import traceback
from typing import NoReturn

from scow.cli.resident import program, surroundings
from scow.cli.resident.caller import EXITED, KILLED
from scow.cli.resident.spare import TAKEN, Spare, tell

_FOLDER = 3
# Seconds without a command after which it ends.
_IDLE = 180.0
_BACKLOG = 1024
# Processes that wait: with two of them also a script that runs one command after the other meets one that is ready.
_SPARES = 2
# Seconds after a command began until the next spare is made, where it runs on and nobody waits.
_PAUSE = 0.05


class Server:
    """Serves one name in a folder.

    Args:
        folder: Descriptor of the user's folder, locked by this process.
        name: Of the socket.
        idle: Seconds without a command after which it ends.
    """

    def __init__(self, folder: int, name: str, idle: float = _IDLE) -> None:
        self._folder = folder
        self._path = f"/proc/self/fd/{folder}/{name}"
        self._idle = idle
        self._files = program.files()
        self._own = surroundings.inherited("self")
        self._poll = select.poll()
        self._listener: socket.socket | None = None
        self._inode = 0
        # All by pidfd: PIDs of children, where spares tell what becomes of them, where callers of commands are.
        self._children: dict[int, int] = {}
        self._spares: dict[int, socket.socket] = {}
        self._callers: dict[int, socket.socket] = {}

    def run(self, started: int) -> None:
        """Serve until it is time to end, and until the commands under way have ended.

        Args:
            started: When it began to load the program, in nanoseconds since 1970.
        """
        if program.newer(self._files, started) or not self._listen():
            return
        self._fork()
        while self._children:
            events = self._poll.poll(self._patience())
            ready = {descriptor for descriptor, _ in events}
            heard = [spare for spare, news in self._spares.items() if news.fileno() in ready]
            for spare in heard:
                self._hear(spare)
            if heard:
                continue
            for child in ready & set(self._children):
                self._reap(child)
            if self._listener is None:
                continue
            if (
                len(self._spares) < _SPARES
            ):  # a command ended, or a caller waits, or it has been a moment
                self._fork()
            elif not events:
                self._stop_serving()

    def _patience(self) -> float | None:
        """Return for how many milliseconds there is nothing to do if nothing happens."""
        if self._listener is None:
            return None
        return (self._idle if len(self._spares) == _SPARES else _PAUSE) * 1000

    def _listen(self) -> bool:
        """Make the socket and unlock the folder; return False where another server serves it."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.connect(self._path)
        except (FileNotFoundError, ConnectionRefusedError):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        else:
            return False
        listener.bind(self._path)
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._inode = os.stat(self._path).st_ino
        self._listener = listener
        self._poll.register(listener, select.POLLIN)
        fcntl.flock(self._folder, fcntl.LOCK_UN)
        return True

    def _fork(self) -> None:
        """Make a spare."""
        assert self._listener is not None
        if not self._spares:
            self._poll.unregister(self._listener)
        news, theirs = socket.socketpair()
        pid = os.fork()
        if not pid:
            news.close()
            self._become_spare(self._listener, theirs)
        theirs.close()
        child = os.pidfd_open(pid)
        self._children[child] = pid
        self._spares[child] = news
        self._poll.register(child, select.POLLIN)
        self._poll.register(news, select.POLLIN)

    def _become_spare(self, listener: socket.socket, server: socket.socket) -> NoReturn:
        try:
            os.close(self._folder)
            for each in (*self._callers.values(), *self._spares.values()):
                each.close()
            for descriptor in self._children:
                os.close(descriptor)
            rename_process("scow")
            Spare(listener, server, self._files, self._own).run()
        except BaseException:  # noqa: BLE001  it must never return into the server's loop
            traceback.print_exc()
        finally:
            os._exit(1)

    def _hear(self, spare: int) -> None:
        """Learn what became of a spare.

        The next one is made in a moment: it takes a processor from the command that has begun.
        """
        news = self._spares[spare]
        message, received, _, _ = socket.recv_fds(news, 1, 1)
        for descriptor in received:
            self._callers[spare] = socket.socket(fileno=descriptor)
        self._forget(spare)
        if message != TAKEN:  # the program changed, or the spare was killed
            self._stop_serving()

    def _forget(self, spare: int) -> None:
        news = self._spares.pop(spare)
        self._poll.unregister(news)
        news.close()
        if not self._spares and self._listener is not None:
            self._poll.register(self._listener, select.POLLIN)

    def _reap(self, descriptor: int) -> None:
        """Tell the caller how its command ended, which knows already where the command itself could tell."""
        self._poll.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(self._children.pop(descriptor), 0)
        caller = self._callers.pop(descriptor, None)
        if caller is None:
            return
        if os.WIFSIGNALED(status):
            tell(caller, KILLED, os.WTERMSIG(status))
        else:
            tell(caller, EXITED, os.waitstatus_to_exitcode(status))
        caller.close()

    def _stop_serving(self) -> None:
        """Let the next caller start another server; the spare ends by itself."""
        if self._listener is None:
            return
        fcntl.flock(self._folder, fcntl.LOCK_EX)  # nobody makes a socket of the same name meanwhile
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        fcntl.flock(self._folder, fcntl.LOCK_UN)
        if not self._spares:
            self._poll.unregister(self._listener)
        self._listener.close()
        self._listener = None
        for spare in list(self._spares):
            self._forget(spare)


def rename_process(name: str) -> None:
    """Change what ps(1) shows as the command's name."""
    with open("/proc/self/comm", "w") as file:
        file.write(name)


def main() -> None:
    """Serve; the only task of this process."""
    started = time.time_ns()
    rename_process("scow-resident")
    folder = fcntl.fcntl(_FOLDER, fcntl.F_DUPFD_CLOEXEC, surroundings.RESERVED)
    surroundings.reserve_descriptors()
    program.load()
    gc.collect()
    gc.freeze()  # so that no collection writes to pages that the children share
    Server(folder, sys.argv[1]).run(started)


if __name__ == "__main__":
    main()
