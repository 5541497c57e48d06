"""The prober's process: single-threaded, epoll, any number of probes at once, each with its deadline.

A socket belongs to the network namespace in which it was made, for good. So the process joins a container's namespace
for as long as it takes to make the socket, and goes back; nothing is forked, and no namespace is held.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import select
import socket
import time

from scow.api.shim.v1 import prober_pb2 as pb
from scow.kernel import identity, syscalls
from scow.shim.prober.exchange import Exchange, Http, Tcp, Verdict
from scow.shim.prober.grpc_health import GrpcHealth

_PACKET_MAX = 8 << 10
_CHUNK = 4096
# Sockets at once; further probes fail at once, which says that something is wrong.
_MOST = 512
_WRITE, _READ = select.EPOLLOUT, select.EPOLLIN


class _Attempt:
    """One probe under way."""

    __slots__ = ("connected", "deadline", "exchange", "id", "pending", "socket", "watched")

    def __init__(
        self, number: int, deadline: float, connection: socket.socket, exchange: Exchange
    ) -> None:
        self.id = number
        self.deadline = deadline
        self.socket = connection
        self.exchange = exchange
        self.pending = exchange.request
        self.connected = False
        self.watched = 0


class Prober:
    """Makes connections.

    Args:
        connection: To who asks, SOCK_SEQPACKET.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._caller = connection
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._attempts: dict[int, _Attempt] = {}
        self._deadlines: list[tuple[float, int, int]] = []

    def run(self) -> None:
        """Serve until the caller goes away."""
        self._caller.setblocking(False)
        self._epoll.register(self._caller, _READ)
        while True:
            for descriptor, _ in self._epoll.poll(self._patience()):
                if descriptor == self._caller.fileno():
                    if not self._take():
                        return
                elif (attempt := self._attempts.get(descriptor)) is not None:
                    self._advance(attempt)
            self._expire()

    def _patience(self) -> float:
        if not self._deadlines:
            return -1
        return max(0.0, self._deadlines[0][0] - time.monotonic())

    def _take(self) -> bool:
        """Begin what is asked for; return False when the caller has gone."""
        while True:
            try:
                packet = self._caller.recv(_PACKET_MAX)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not packet:
                return False
            request = pb.ProbeRequest.FromString(packet)
            verdict = self._begin(request)
            if verdict is not None:
                self._answer(request.id, verdict)

    def _begin(self, request: pb.ProbeRequest) -> Verdict | None:
        """Make a connection; return the verdict if it is known already."""
        if len(self._attempts) >= _MOST:
            return Verdict(False, f"more than {_MOST} probes are under way")
        try:
            connection = self._socket(request)
        except OSError as error:
            return Verdict(False, f"no connection can be made: {error.strerror}")
        if connection is None:
            return Verdict(False, "the container has ended")
        deadline = time.monotonic() + request.timeout / 1e9
        attempt = _Attempt(request.id, deadline, connection, _exchange(request))
        self._attempts[connection.fileno()] = attempt
        heapq.heappush(self._deadlines, (deadline, connection.fileno(), request.id))
        try:
            connection.connect((request.address, request.port))
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(attempt, Verdict(False, _refused(error)))
            return None
        # Over the loopback interface it is there already, most often.
        self._advance(attempt)
        return None

    def _socket(self, request: pb.ProbeRequest) -> socket.socket | None:
        """Make a socket in the network namespace of a process; None when that is gone."""
        family = socket.AF_INET6 if ":" in request.address else socket.AF_INET
        process = identity.open_pidfd(request.pid, request.pid_start_ticks)
        if process is None:
            return None
        try:
            syscalls.setns(process, syscalls.CLONE_NEWNET)
        except ProcessLookupError:
            return None
        finally:
            os.close(process)
        try:
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        finally:
            syscalls.setns(self._home, syscalls.CLONE_NEWNET)

    def _advance(self, attempt: _Attempt) -> None:
        try:
            verdict = self._talk(attempt)
        except BlockingIOError:
            self._watch(attempt)
            return
        except OSError as error:
            verdict = Verdict(False, _refused(error))
        if verdict is not None:
            self._end(attempt, verdict)

    def _talk(self, attempt: _Attempt) -> Verdict | None:
        """Send and receive as far as it goes.

        Raises:
            BlockingIOError: It goes no further now.
            OSError: The connection failed.
        """
        if not attempt.connected:
            self._connected(attempt)
        while True:
            while attempt.pending:
                sent = attempt.socket.send(attempt.pending, socket.MSG_NOSIGNAL)
                attempt.pending = attempt.pending[sent:]
            if not attempt.exchange.request:
                return Verdict(True, "connected")
            verdict = attempt.exchange.feed(attempt.socket.recv(_CHUNK))
            attempt.pending += attempt.exchange.reply()
            if verdict is not None:
                return verdict

    def _connected(self, attempt: _Attempt) -> None:
        """Find out whether a connection is there.

        Raises:
            BlockingIOError: Not yet.
            OSError: It was refused.
        """
        code = attempt.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            attempt.socket.getpeername()
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                raise BlockingIOError from error
            raise
        attempt.connected = True

    def _watch(self, attempt: _Attempt) -> None:
        wanted = _WRITE if not attempt.connected or attempt.pending else _READ
        if attempt.watched == wanted:
            return
        if attempt.watched:
            self._epoll.modify(attempt.socket, wanted)
        else:
            self._epoll.register(attempt.socket, wanted)
        attempt.watched = wanted

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, descriptor, number = heapq.heappop(self._deadlines)
            attempt = self._attempts.get(descriptor)
            if attempt is not None and attempt.id == number:
                doing = "an answer" if attempt.connected else "a connection"
                self._end(attempt, Verdict(False, f"{doing} took too long", timed_out=True))

    def _end(self, attempt: _Attempt, verdict: Verdict) -> None:
        del self._attempts[attempt.socket.fileno()]
        attempt.socket.close()  # which ends the watch, too
        self._answer(attempt.id, verdict)

    def _answer(self, number: int, verdict: Verdict) -> None:
        answer = pb.ProbeAnswer(
            id=number,
            healthy=verdict.healthy,
            timed_out=verdict.timed_out,
            output=verdict.output,
        )
        # One that reads no answers is told nothing: the probe fails by its caller's own deadline.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._caller.send(answer.SerializeToString(), socket.MSG_NOSIGNAL)


def _exchange(request: pb.ProbeRequest) -> Exchange:
    address = f"[{request.address}]" if ":" in request.address else request.address
    host = f"{address}:{request.port}"
    if request.protocol == "http":
        return Http(host, request.target)
    if request.protocol == "grpc":
        return GrpcHealth(host, request.target)
    return Tcp()


def _refused(error: OSError) -> str:
    return f"the connection failed: {error.strerror}"


def serve(connection: socket.socket) -> None:
    """Be the prober of a connection until it ends. Called in a child of the spawner."""
    syscalls.set_name(b"scow-prober")
    Prober(connection).run()
