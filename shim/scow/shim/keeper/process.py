"""The keeper: the process that stays beside a container, from its fork by the spawner to the container's end.

It is subreaper and parent of the init, hands on what the init writes (`output`), records how the init ended, and
listens on the shim's socket. All else is done by processes that it forks and that end: the builder, and the talker for
whoever connects. While a talker is there, the listening socket is its affair; one that ends leaves whoever is in the
queue to the next.

An idle keeper is small because it does little: a page that it shares with the spawner is copied as soon as an object on
it is looked at. So: one thread, epoll, no asyncio, no messages to decode, and few objects of its own.

    building --EXECUTED--> running --init ends--> stopped --sessions, builder and talker end--> gone
       |                                             ^
       +--FAILED, or the builder or init dies--------+
"""

from __future__ import annotations

import _socket
import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from typing import NoReturn

from scow.contract.shim_files import STATE, Exit, State
from scow.kernel import syscalls
from scow.shim import cgroup
from scow.shim.keeper import exit_record, link, usage
from scow.shim.keeper.output import Output
from scow.shim.keeper.request import Request, receive

_RETRY_SECONDS = 1.0
_CGROUP_SECONDS = 10.0
_SIGKILL = int(signal.SIGKILL)
WAITING = b"scow-waiting"  # the name of what has no request yet
KILLED = "the init was killed before it executed the container's process"


class Keeper:
    """The state of one container that outlives builder and talkers."""

    __slots__ = (
        "_builder",
        "_builder_pid",
        "_dead",
        "_due",
        "_early",
        "_oom",
        "_own",
        "_poll",
        "_recovering",
        "_talker",
        "_talker_pid",
        "_unsent",
        "_wake",
        "executed",
        "failure",
        "listener",
        "output",
        "pid",
        "pidfd",
        "record",
        "request",
        "stdin",
        "terminal",
    )

    def __init__(self) -> None:
        self._own = os.getpid()
        self.pid = 0
        self.pidfd = -1
        self.stdin = -1
        self.terminal = -1
        self.executed = False
        self.failure: tuple[int, str] | None = None
        self.record: Exit | None = None
        self._dead = False
        self._early: int | None = None
        self._due = 0.0  # when writing the record is tried again
        self._oom = -1
        self._poll = select.epoll()
        self._builder: _socket.socket | None = None
        self._builder_pid = 0
        self._talker: _socket.socket | None = None
        self._talker_pid = 0
        self._recovering = False
        self._unsent: list[tuple[bytes, tuple[int, ...]]] = []
        self._wake = syscalls.child_signals()
        self._poll.register(self._wake, select.EPOLLIN)
        self.listener = -1

    # The builder and the talker

    def fork_builder(self, requests: _socket.socket, other: _socket.socket) -> None:
        """Fork the process that makes the container.

        Args:
            requests: Where it gets its request from.
            other: Where the keeper gets its own from.
        """
        self._builder, theirs = link.pair()
        self._builder_pid = syscalls.fork_bare()
        if self._builder_pid == 0:
            from scow.shim.builder import process as builder

            self._become_child()
            other.close()
            builder.main(requests, theirs, self._own)
        theirs.close()
        requests.close()
        self._poll.register(self._builder.fileno(), select.EPOLLIN)

    def begin(self, request: Request) -> None:
        """Take on a request, which the builder has already."""
        self.request = request
        self.output = Output(self._poll, request.log_file())

    def _fork_talker(self, *, recovering: bool = False) -> None:
        self._talker, theirs = link.pair()
        self._recovering = recovering
        try:
            self._talker_pid = syscalls.fork_bare()
        except (
            OSError
        ):  # no memory, no more processes: who connects waits, and the next event tries again
            self._talker.close()
            theirs.close()
            self._talker = None
            time.sleep(0.05)
            return
        if self._talker_pid == 0:
            from scow.shim.talker import process as talker

            self._become_child()
            talker.main(self, theirs)
        theirs.close()
        self._poll.unregister(self.listener)
        self._poll.register(self._talker.fileno(), select.EPOLLIN)

    def _become_child(self) -> None:
        """Let go, in a forked child, of what is the keeper's; end with the keeper."""
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != self._own:  # it was killed before that
            os._exit(1)
        os.close(self._wake)
        self._poll.close()
        for each in (self._builder, self._talker):
            if each is not None:
                each.close()
        if self._talker is not None:
            self.output.close_all()
        if self._oom >= 0:
            os.close(self._oom)

    # The loop

    def run(self) -> None:
        """Serve until the container has ended and everybody has been told."""
        while self.record is None or self._due or self._busy():
            # One at a time: what is done about one may close the descriptor of the next, and a new one gets its number.
            for fd, events in self._poll.poll(self._timeout(), 1):
                self._handle(fd, events)
            if self._unsent:
                self._send_unsent()
            self.output.cut_stuck()
            if self._due and time.monotonic() >= self._due:
                self._write_record()
        self._end_cgroup()
        self._leave()

    def _busy(self) -> bool:
        return bool(self.output.sessions or self._builder_pid or self._talker_pid)

    def _timeout(self) -> float:
        timeout = 0.05 if self._unsent else self.output.timeout()
        if self._due:
            return min(timeout, _RETRY_SECONDS) if timeout >= 0 else _RETRY_SECONDS
        return timeout

    def _handle(self, fd: int, events: int) -> None:
        output = self.output
        if fd in output.sources:
            output.readable(fd)
        elif fd in output.sessions:
            output.session_event(fd, events)
        elif fd == self._wake:
            os.read(fd, 512)
            self._collect()
        elif fd == self.listener:
            if self._talker is None:
                self._fork_talker()
        elif self._talker is not None and fd == self._talker.fileno():
            self._from_talker(self._talker)
        elif self._builder is not None and fd == self._builder.fileno():
            self._from_builder(self._builder)

    # What the others say

    def _from_builder(self, builder: _socket.socket) -> bool:
        """Take one packet; False when there is none."""
        try:
            packet, fds = link.receive(builder)
        except BlockingIOError:
            return False
        kind = packet[:1]
        if not kind:
            with contextlib.suppress(OSError):
                self._poll.unregister(builder.fileno())
            return False
        if kind == link.INIT:
            self._adopt(packet, fds)
        elif kind == link.READY:
            self.listener = fds[0]
            self._poll.register(self.listener, select.EPOLLIN)
        elif kind == link.TERMINAL:
            self._adopt_terminal(fds[0])
        elif kind == link.EXECUTED:
            self.executed = True
            self._tell(link.EXECUTED)
            if self._early is None:
                self.output.start()
            else:
                self._stopped(self._early)
        elif kind == link.FAILED:
            self.failure = (packet[1], packet[2:].decode())
            if self._early is not None:
                self._stopped(self._early)
        elif kind == link.DEAD:
            self._dead = True
            if self._early is not None:
                self._stopped(self._early)
        elif kind == link.UNDONE:
            self._leave()
        return True

    def _adopt(self, packet: bytes, fds: list[int]) -> None:
        self.pid, flags = link.INTS.unpack(packet[1:])
        self.pidfd = fds.pop(0)
        if flags & link.HAS_OOM:
            self._oom = fds.pop(0)
        if flags & link.HAS_PIPES:
            self.output.add_source(fds.pop(0), link.STDOUT)
            self.output.add_source(fds.pop(0), link.STDERR)
        if flags & link.HAS_STDIN:
            self.stdin = fds.pop(0)
            os.set_blocking(self.stdin, False)
        self._collect()  # it may have ended before it was known

    def _adopt_terminal(self, master: int) -> None:
        self.stdin = self.terminal = os.dup(master)
        os.set_inheritable(self.terminal, False)
        self.output.add_source(master, link.STDOUT)
        self._tell(link.TERMINAL, (self.terminal,))

    def _from_talker(self, talker: _socket.socket) -> None:
        packet, fds = link.receive(talker)
        kind = packet[:1]
        if not kind:
            self._poll.unregister(talker.fileno())  # its end is seen to when it is waited for
        elif kind == link.ATTACH:
            self.output.attach(fds[0], packet[1])
        elif kind == link.CLOSE_STDIN and self.terminal < 0 and self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def _tell(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send to talker and builder; who is gone is not told. Whoever the builder answers may ask the talker."""
        if self._talker is not None:
            self._unsent.append((packet, fds))
            self._send_unsent()
        if self._builder is not None:
            with contextlib.suppress(OSError):
                link.send(self._builder, packet, fds)

    def _send_unsent(self) -> None:
        """Send what the talker is to be told, in order; while its socket is full, the rest waits."""
        while self._unsent and self._talker is not None:
            try:
                link.send(self._talker, *self._unsent[0])
            except BlockingIOError:
                return
            except OSError:
                break
            del self._unsent[0]
        self._unsent.clear()

    # Children

    def _collect(self) -> None:
        """Wait for every child that has ended: the init, the two processes of the keeper's own, sessions, orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid and self._early is None and self.record is None:
                self._init_ended(status)
            elif pid == self._builder_pid:
                self._builder_ended()
            elif pid == self._talker_pid:
                self._talker_ended(status)
            elif self.output.collected(pid, status):
                pass
            elif self._builder_pid and not self.pid:
                self._from_builder_rest()
                if pid == self.pid:
                    self._init_ended(status)
                else:  # the init, before the builder could tell of it
                    self._early = status
            elif self._talker is not None:
                self._unsent.append((link.ENDED + link.INTS.pack(pid, status), ()))

    def _from_builder_rest(self) -> None:
        builder = self._builder
        while builder is not None and self._from_builder(builder):
            pass

    def _init_ended(self, status: int) -> None:
        if self.executed or self.failure is not None or self._dead or not self._builder_pid:
            self._stopped(status)
        else:
            self._early = status  # the builder has yet to read why

    def _builder_ended(self) -> None:
        self._from_builder_rest()
        self._builder_pid = 0
        assert self._builder is not None
        with contextlib.suppress(OSError, ValueError):
            self._poll.unregister(self._builder.fileno())
        self._builder.close()
        self._builder = None
        if self.executed or self.record is not None:
            return
        if not self.pid:  # killed before there was an init: nobody waits for a record
            self._end_cgroup()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.request.state_dir, STATE))
            self._leave()
        if self._early is not None:
            self._stopped(self._early)
        elif self.failure is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def _talker_ended(self, status: int) -> None:
        self._talker_pid = 0
        if self._talker is not None:
            with contextlib.suppress(OSError, ValueError):
                self._poll.unregister(self._talker.fileno())
            self._talker.close()
            self._talker = None
        self._unsent.clear()
        if self.record is not None and not self._due:
            return  # all is said in exit.json
        self._poll.register(self.listener, select.EPOLLIN)
        if status and not self._recovering:
            # It was killed: another one ends the processes whose stdio went with it.
            self._fork_talker(recovering=True)

    # The end

    def _stopped(self, status: int) -> None:
        """Deliver the last output and record the end."""
        self._early = None
        state = State.read(self.request.state_dir)
        directories = [] if state is None else state.cgroups
        # Nobody else kills the rest of a container without a pid namespace of its own.
        cgroup.kill_all(directories)
        self.output.finish()
        oom_kills = _oom_kills(self._oom)
        oom_killed = oom_kills > 0
        record = exit_record.from_status(status, oom_killed=oom_killed)
        if self.failure is not None:
            record = Exit(self.failure[0], 0, record.time_ns, oom_killed, self.failure[1])
        elif not self.executed:
            error = KILLED + (": the memory limit is too small" if oom_killed else "")
            record = Exit(record.code, record.signal, record.time_ns, oom_killed, error)
        self.record = exit_record.with_usage(record, oom_kills, usage.read(directories))
        self._write_record()
        self._tell(link.STOPPED + self.record.encode())
        self._end_cgroup(1.0)

    def _write_record(self) -> None:
        """Write exit.json; on a full disk writing is tried again until it can be."""
        assert self.record is not None
        try:
            exit_record.write_exit(self.request.state_dir, self.record)
            self._due = 0.0
        except FileNotFoundError:  # the folder was deleted: nobody wants it
            self._due = 0.0
        except OSError as error:
            if not self._due:
                print(f"{self.request.id}: exit.json: {error}", file=sys.stderr)  # noqa: T201
            self._due = time.monotonic() + _RETRY_SECONDS

    def _end_cgroup(self, seconds: float = _CGROUP_SECONDS) -> None:
        state = State.read(self.request.state_dir)
        if state is not None:
            cgroup.end(tuple(state.cgroups), seconds)

    def _leave(self) -> NoReturn:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.request.socket)
        os._exit(0)


def main(requests: _socket.socket, of_builder: _socket.socket) -> NoReturn:
    """Become the shim of a container to come, in the forked child. Does not return.

    Args:
        requests: Where the spawn request comes from; whoever closes it wants no shim.
        of_builder: Where the builder's comes from.
    """
    code = 1
    try:
        _detach()
        gc.disable()
        keeper = Keeper()
        keeper.fork_builder(of_builder, requests)
        found = receive(requests)
        if found is None:
            os._exit(0)
        requests.close()
        syscalls.set_name(b"scow-shim")
        keeper.begin(found)
        keeper.run()
        code = 0
    except BaseException:  # noqa: BLE001 - the child must never return to the spawner's code
        traceback.print_exc()
    finally:
        os._exit(code)


def _detach() -> None:
    """Leave the spawner: own session, father of the container's orphans."""
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    # Processes of the container may not look into this one (ptrace(2), "Ptrace access mode checking").
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.set_name(WAITING)


def _oom_kills(fd: int) -> int:
    """Read the kernel's count of processes killed for want of memory, of either version of cgroups."""
    if fd < 0:
        return 0
    try:
        text = os.pread(fd, 4096, 0)
    except OSError:  # the cgroup is gone
        return 0
    for line in text.splitlines():
        if line.startswith(b"oom_kill "):
            return int(line[9:])
    return 0
