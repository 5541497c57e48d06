"""The container as a talker sees it: what the keeper knew at the fork, and what it told since."""

from __future__ import annotations

import _socket
import asyncio
import contextlib
import functools
import json
import os
import signal
import socket

from scow.contract.errors import ContainerNotRunning, ScowError
from scow.contract.shim_files import Exit, State
from scow.kernel import syscalls
from scow.shim import cgroup
from scow.shim.confine import seccomp
from scow.shim.keeper import exit_record, link
from scow.shim.keeper.process import Keeper
from scow.shim.oci import config
from scow.shim.rootfs import devices, idmap
from scow.shim.talker.children import Children
from scow.shim.talker.stdio import Input

CREATED, RUNNING, PAUSED, STOPPED = 1, 2, 3, 4


class Container:
    """The container of this shim."""

    def __init__(self, keeper: Keeper, channel: _socket.socket) -> None:
        self.request = keeper.request
        self.pid = keeper.pid
        self.exit = keeper.record
        self.children = Children()
        self.cgroup = cgroup.discover().cgroup(self.request.cgroup_parent, self.request.id)
        self.stdin = Input(keeper.stdin, terminal=keeper.terminal >= 0)
        # Of the init. It, and not the PID, which another process may have once the keeper has waited for the init.
        self.pidfd = keeper.pidfd
        self._channel = channel
        self._executed = keeper.executed
        self._size = (0, 0)
        self._ended = asyncio.Event()
        if self.exit is not None:
            self._ended.set()

    # What the keeper says

    def listen(self) -> None:
        """Begin to read what the keeper says; `told` is called after each packet."""
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._receive)

    def _receive(self) -> None:
        try:
            packet, fds = link.receive(self._channel)
        except BlockingIOError:
            return
        kind = packet[:1]
        if kind == link.ENDED:
            self.children.ended(*link.INTS.unpack(packet[1:]))
        elif kind == link.TERMINAL:
            self.stdin = Input(fds[0], terminal=True)
            if all(self._size):
                devices.set_size(fds[0], *self._size)
        elif kind == link.EXECUTED:
            self._executed = True
        elif kind == link.STOPPED:
            self.exit = Exit(**json.loads(packet[1:]))
            self._ended.set()
        elif not kind:  # the keeper is gone, and this process is about to be
            os._exit(1)

    # What it is

    @property
    def id(self) -> str:
        """The container's id."""
        return self.request.id

    @functools.cached_property
    def spec(self) -> config.Spec:
        """Its configuration."""
        return config.load(self.request.bundle)

    @functools.cached_property
    def filter(self) -> seccomp.Filter | None:
        """Its seccomp filter."""
        if self.spec.seccomp is None:
            return None
        return seccomp.prepare(self.spec.seccomp, self.request.seccomp_cache)

    @property
    def status(self) -> int:
        """What the container is doing."""
        if self.exit is not None:
            return STOPPED
        if not self._executed:
            return CREATED
        return PAUSED if self.cgroup.frozen() else RUNNING

    def state(self) -> State:
        """Return what is on record of it.

        Raises:
            ContainerNotRunning when the record was deleted.
        """
        state = State.read(self.request.state_dir)
        if state is None:
            raise self.not_running()
        return state

    def warn(self, warnings: list[str]) -> None:
        """Keep warnings where `state.json` tells them."""
        exit_record.add_warnings(self.request.state_dir, warnings)

    def not_running(self) -> ScowError:
        """Make the error for what needs a running container."""
        text = f"the container {self.id} is not running"
        return ContainerNotRunning(text, what="container", which=self.id)

    async def wait(self) -> Exit:
        """Wait for the end of the init; its record is on disk by then."""
        await self._ended.wait()
        assert self.exit is not None
        return self.exit

    # What is done to it

    def enter(self, namespaces: int) -> None:
        """Have this process, a child of the talker, join namespaces of the init (CLONE_NEW...).

        Raises:
            ContainerNotRunning: The init has ended this very moment.
        """
        try:
            syscalls.setns(self.pidfd, namespaces)
        except ProcessLookupError as error:
            raise self.not_running() from error

    def users(self) -> int:
        """Return a descriptor of the container's user namespace, -1 where it is the host's.

        Raises:
            ContainerNotRunning: The init has ended this very moment.
        """
        try:
            found = idmap.users_of(self.pid)
            # Had the init ended before, another process could have its PID.
            signal.pidfd_send_signal(self.pidfd, 0)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise self.not_running() from error
        return found

    def attach(self, *, stdout: bool, stderr: bool, unlogged: bool) -> socket.socket:
        """Have the keeper send output to a socket (see `link`); return its other end."""
        mask = (
            (link.WANTS_STDOUT if stdout else 0)
            | (link.WANTS_STDERR if stderr else 0)
            | (link.WANTS_UNLOGGED if unlogged else 0)
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            link.send(self._channel, link.ATTACH + bytes((mask,)), (theirs.fileno(),))
        ours.setblocking(False)
        return ours

    async def end_stdin(self) -> None:
        """End the process's input."""
        if self.stdin.terminal:
            await self.stdin.end()
        else:
            self.close_stdin()

    def close_stdin(self) -> None:
        """Close the pipe of stdin, here and in the keeper; a terminal stays."""
        if not self.stdin.terminal and self.stdin.open:
            self.stdin.close()
            link.send(self._channel, link.CLOSE_STDIN)

    def kill(self, number: int, *, everyone: bool = False) -> None:
        """Send a signal to the init, or to every process."""
        status = self.status
        if status == STOPPED or (status == CREATED and number != signal.SIGKILL):
            raise self.not_running()
        if everyone and number == signal.SIGKILL:
            cgroup.kill_all(self.cgroup.directories)
        elif everyone:
            cgroup.signal_all(self.cgroup.directories, number)
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)
        if status == PAUSED and number == signal.SIGKILL:
            self.cgroup.thaw()  # a frozen process of v1 does not die

    def pause(self) -> None:
        """Freeze every process."""
        status = self.status
        if status == PAUSED:
            return
        if status != RUNNING:
            raise self.not_running()
        self.cgroup.freeze()

    def resume(self) -> None:
        """Thaw every process."""
        if self.status not in (RUNNING, PAUSED):
            raise self.not_running()
        self.cgroup.thaw()

    def resize(self, rows: int, columns: int) -> None:
        """Set the window size; before there is a terminal it is kept."""
        if self.stdin.terminal and self.exit is None:
            self.stdin.resize(rows, columns)
        elif self.status == CREATED:
            self._size = (rows, columns)
        else:
            text = "this process has no terminal"
            if self.exit is not None:
                text = "the process has ended"
            raise ContainerNotRunning(text, what="terminal")

    async def end(self) -> Exit:
        """Kill what still runs; the keeper removes the cgroup and ends."""
        if self.exit is None:
            if self.cgroup.frozen():
                self.cgroup.thaw()
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        return await self.wait()
