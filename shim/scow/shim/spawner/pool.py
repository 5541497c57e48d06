"""Shims forked ahead: while containers are being started, a keeper and its builder wait for the next request.

What is left of a start is then what depends on the container: two forks, and copying the pages that a Python process
writes to, are done before. Nothing waits a while after the last start, so that it costs no memory at rest. A shim is
made ahead only in a pause: of starts that come close together each forks its own.
"""

from __future__ import annotations

import _socket
import contextlib
import math
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scow.kernel import syscalls
from scow.shim.keeper import process, request
from scow.shim.keeper.request import Request

_PAUSE_SECONDS = 0.02  # without a request, after which one is forked ahead
_KEPT_SECONDS = 10.0  # after the last start


@dataclass(frozen=True, slots=True)
class _Shim:
    """A shim without a request: the ways to its keeper and to its builder. Closing them ends it."""

    keeper: _socket.socket
    builder: _socket.socket

    def close(self) -> None:
        self.keeper.close()
        self.builder.close()


class Pool:
    """At most one shim that waits.

    Args:
        become_child: Closes, in a forked child, what is the spawner's alone.
    """

    def __init__(self, become_child: Callable[[], None]) -> None:
        self._become_child = become_child
        self._waiting: _Shim | None = None
        self._started = -math.inf

    def spawn(self, wanted: Request, connection: socket.socket, layers: Mapping[str, int]) -> None:
        """Have a shim answer a request.

        Args:
            wanted: The request.
            connection: Whoever asked.
            layers: What the builder needs of the mounted layers: descriptors by the path of the index.

        Raises:
            OSError: There is no memory, or there may be no more processes.
        """
        shim, self._waiting = self._waiting, None
        self._started = time.monotonic()
        if shim is not None:
            try:
                request.send_with(shim.builder, wanted, connection.fileno(), layers)
            except OSError:  # it was killed while it waited
                shim.close()
                shim = None
        if shim is None:
            shim = self._fork(connection)
            request.send_with(shim.builder, wanted, connection.fileno(), layers)
        # Without its keeper a builder ends, and with it the connection.
        with contextlib.suppress(OSError):
            request.send(shim.keeper, wanted)
        shim.close()

    def timeout(self) -> float:
        """Return the seconds until there is something to look at."""
        age = time.monotonic() - self._started
        if self._waiting is not None:
            return max(_KEPT_SECONDS - age, 0.0)
        return max(_PAUSE_SECONDS - age, 0.0) if age < _KEPT_SECONDS else math.inf

    def look(self) -> None:
        """Fork ahead in a pause; let go of what has waited long."""
        age = time.monotonic() - self._started
        if age >= _KEPT_SECONDS:
            self.close()
        elif self._waiting is None and age >= _PAUSE_SECONDS:
            with contextlib.suppress(OSError):
                self._waiting = self._fork(None)
            if self._waiting is None:
                self._started = -math.inf  # no memory, no more processes: not now

    def close(self) -> None:
        """Let go of what waits."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def _fork(self, connection: socket.socket | None) -> _Shim:
        ours, theirs = _channels(), _channels()
        (keeper, of_keeper), (builder, of_builder) = ours, theirs
        try:
            child = syscalls.fork_bare()
        except OSError:
            for each in (*ours, *theirs):
                each.close()
            raise
        if child == 0:
            keeper.close()
            builder.close()
            if connection is not None:
                connection.close()
            self._become_child()
            process.main(of_keeper, of_builder)
        of_keeper.close()
        of_builder.close()
        return _Shim(keeper, builder)


def _channels() -> tuple[_socket.socket, _socket.socket]:
    return _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
