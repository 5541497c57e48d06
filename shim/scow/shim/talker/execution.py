"""Exec sessions: further processes in a running container.

The talker forks a child into the container's pid namespace and cgroup, which the keeper is the parent of; the child
joins the other namespaces through a pidfd of the init, which needs a single-threaded process, and becomes the program
as the init did. Its stdio is the talker's: sessions end with their talker. What became of them is in a file, so that
the next talker can tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable
from typing import NoReturn

from scow.contract.errors import (
    ContainerNotRunning,
    ContainerPaused,
    ExecNotFound,
    InvalidConfig,
    NameInUse,
    ScowError,
)
from scow.contract.shim_files import Exit
from scow.kernel import identity, syscalls
from scow.shim.confine import capabilities as caps
from scow.shim.init import control, follow, launch, namespaces, user_namespace
from scow.shim.keeper import exit_record
from scow.shim.oci.config import Process
from scow.shim.rootfs import devices
from scow.shim.talker.container import PAUSED, RUNNING, Container
from scow.shim.talker.records import Record, Records
from scow.shim.talker.stdio import Stdio

# pidfd_send_signal(2), PIDFD_SIGNAL_PROCESS_GROUP.
_PROCESS_GROUP = 4
_TALKER_DIED = "the process that served this session was killed"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a session shall execute; empty fields mean the container's own."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    terminal: bool
    privileged: bool
    groups: tuple[str, ...]
    size: tuple[int, int]
    stdin: bool


class Execution:
    """One session: its process, its stdio and, in the end, how it ended."""

    def __init__(
        self, container: Container, wanted: Wanted, ended: Callable[[Execution], None]
    ) -> None:
        self._container = container
        self._tell = ended
        self._wanted = wanted
        self.stdio = Stdio(terminal=wanted.terminal, stdin=wanted.stdin)
        self.pid = 0
        self._pidfd = -1
        self.exit: Exit | None = None
        self._ended = asyncio.Event()
        ours, theirs = control.pair()
        self._control = ours
        try:
            self.pid, self._pidfd = self._fork(theirs.fileno())
        except OSError:
            ours.close()
            self.stdio.close()
            raise
        finally:
            theirs.close()
            self.stdio.close_child_side()
        container.children.add(self.pid, self._on_exit)
        self.ticks = identity.ticks_of(self.pid, self._pidfd)
        self._launching = follow.kept(self._follow())

    def go_on(self) -> None:
        """Let the process become its program, once it is on record: whoever finds it there can end it."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was killed
            control.send(self._control.fileno(), {"start": {}})

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.exit is None

    def _fork(self, channel: int) -> tuple[int, int]:
        container = self._container
        _ = container.filter  # compiled here rather than in the container
        group = container.cgroup.open_for_clone()
        try:
            if "pid" in container.spec.namespaces:
                pid, pidfd = namespaces.fork_joining(container.pidfd, group)
            else:
                pid, pidfd = syscalls.fork_into(syscalls.CLONE_PARENT, group)
            if pid == 0:
                _become(container, self._wanted, self.stdio.child, channel)
            return pid, pidfd
        finally:
            if group is not None:
                os.close(group)

    async def launched(self) -> None:
        """Wait until the program runs.

        Raises:
            ScowError: Why it does not; the session has ended then.
        """
        # Shielded: a caller that goes away must not leave a process whose output nobody reads.
        await asyncio.shield(self._launching)

    async def _follow(self) -> None:
        try:
            master = await follow.to_exec(self._control, self._container.warn)
        except ScowError:
            await self._ended.wait()
            raise
        finally:
            self._control.close()
        if master is None:
            await self._ended.wait()
            raise self._container.not_running()
        if master >= 0:
            self.stdio.adopt(master)
        if self.exit is None:
            self.stdio.start()
        else:
            self.stdio.finish()

    def _on_exit(self, status: int) -> None:
        os.close(self._pidfd)
        self.stdio.finish()
        self.exit = exit_record.from_status(status)
        self._tell(self)
        self._ended.set()

    async def wait(self) -> Exit:
        """Wait for the end of the process."""
        await self._ended.wait()
        assert self.exit is not None
        return self.exit

    def kill(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the process, or to its whole process group, where the kernel can do that (Linux 6.9)."""
        if self.exit is not None:
            text = f"process {self.pid} of this exec session has ended"
            raise ContainerNotRunning(text, what="exec")
        with contextlib.suppress(
            ProcessLookupError
        ):  # it has ended, and the keeper has yet to tell how
            if group:
                with contextlib.suppress(OSError):  # EINVAL: a kernel that does not know it
                    signal.pidfd_send_signal(self._pidfd, number, None, _PROCESS_GROUP)
            signal.pidfd_send_signal(self._pidfd, number)


# Sessions that have ended whose output is kept, and for how long.
_KEPT, _KEPT_SECONDS = 16, 60.0


class Executions:
    """The sessions of one container: those that run, and the latest that ended.

    Args:
        container: Theirs.
        changed: Called when one has ended.
    """

    def __init__(self, container: Container, changed: Callable[[], None]) -> None:
        self._container = container
        self._changed = changed
        self._running: dict[str, Execution] = {}
        # Those that ended a while ago at most, and of them those whose output nobody has had to its end.
        self._kept: dict[str, Stdio] = {}
        self._undelivered: set[str] = set()
        self._records = Records(container.request.state_dir)

    @property
    def idle(self) -> bool:
        """Whether none runs, and nobody may come back for the output of one."""
        return not (self._running or self._undelivered)

    def start(self, exec_id: str, wanted: Wanted) -> Execution:
        """Fork a session's process; `launched` then waits for its program.

        Raises:
            ContainerNotRunning, ContainerPaused, or AlreadyExists.
        """
        if exec_id in self._running or self._records.find(exec_id) is not None:
            text = f"there is an exec session {exec_id} already"
            raise NameInUse(text, what="exec", which=exec_id)
        if not wanted.args:
            text = "an exec session needs a command"
            raise InvalidConfig(text, what="exec", which=exec_id)
        status = self._container.status
        if status == PAUSED:
            text = f"the container {self._container.id} is paused"
            which = self._container.id
            do = "unpause it first"
            raise ContainerPaused(
                text,
                what="container",
                which=which,
                do=do,
            )
        if status != RUNNING:
            raise self._container.not_running()
        try:
            session = Execution(self._container, wanted, lambda ended: self._ended(exec_id, ended))
        except ProcessLookupError as error:  # the init ended this very moment
            raise self._container.not_running() from error
        self._running[exec_id] = session
        self._records.add(Record(exec_id, session.pid, session.ticks))
        session.go_on()
        return session

    def _ended(self, exec_id: str, session: Execution) -> None:
        del self._running[exec_id]
        stdio = session.stdio
        if stdio.keeps:
            self._keep(exec_id, stdio)
        self._records.add(
            Record(exec_id, session.pid, session.ticks, session.exit, stdio.run, **stdio.written)
        )
        self._changed()

    def _keep(self, exec_id: str, stdio: Stdio) -> None:
        self._kept[exec_id] = stdio
        self._undelivered.add(exec_id)
        for oldest in [*self._kept][:-_KEPT]:
            self._forget(oldest)
        asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._forget, exec_id)

    def _forget(self, exec_id: str) -> None:
        self._kept.pop(exec_id, None)
        self.delivered(exec_id)

    def delivered(self, exec_id: str) -> None:
        """Note that somebody has had all output of a session; it is kept while this process is there anyway."""
        self._undelivered.discard(exec_id)
        self._changed()

    def kept(self, exec_id: str) -> Stdio | None:
        """Return the stdio of a session that has ended, while its latest output is kept."""
        return self._kept.get(exec_id)

    def running(self, exec_id: str) -> Execution | None:
        """Return a session that runs."""
        return self._running.get(exec_id)

    def find(self, exec_id: str) -> Record:
        """Return what is on record of a session.

        Raises:
            ExecNotFound.
        """
        record = self._records.find(exec_id)
        if record is None:
            text = f"there is no exec session {exec_id}"
            raise ExecNotFound(text, what="exec", which=exec_id)
        return record

    def get(self, exec_id: str) -> Execution:
        """Return a session that runs.

        Raises:
            ExecNotFound, or FailedPrecondition when it has ended.
        """
        session = self._running.get(exec_id)
        if session is None:
            record = self.find(exec_id)
            text = f"process {record.pid} of this exec session has ended"
            raise ContainerNotRunning(text, what="exec", which=exec_id)
        return session

    def end(self) -> None:
        """Kill those that still run."""
        for session in list(self._running.values()):
            session.kill(signal.SIGKILL)

    def end_orphans(self) -> None:
        """Kill the sessions of a talker that died: nobody has their stdio any more."""
        for record in self._records.unfinished():
            identity.kill(record.pid, record.ticks)
            ended = Exit(
                128 + signal.SIGKILL, int(signal.SIGKILL), time.time_ns(), error=_TALKER_DIED
            )
            self._records.add(dataclasses.replace(record, exit=ended))


def _become(
    container: Container, wanted: Wanted, stdio: tuple[int, int, int], channel: int
) -> NoReturn:
    """Run in the forked child; never returns."""
    try:
        launch.detach(stdio, channel, (container.pidfd,))
        _join_and_run(container, wanted)
    except BaseException as error:  # noqa: BLE001 - whatever it is travels to the shim
        control.fail(error, "start a process in the container")


def _join_and_run(container: Container, wanted: Wanted) -> NoReturn:
    spec = container.spec
    process = _process(spec.process, wanted)
    container.cgroup.enter()
    warnings = launch.set_oom_score(process.oom_score_adj)
    apparmor = launch.open_apparmor(process.apparmor_profile)
    flags = 0
    for kind in spec.namespaces:
        if kind not in ("pid", "user"):
            flags |= namespaces.KINDS[kind][0]
    container.enter(flags)
    os.chdir("/")
    syscalls.join_session_keyring()
    available = user_namespace.enter(container.pidfd, spec, fresh=False)
    if process.terminal:
        _make_terminal(process.console_size)
    if wanted.privileged:
        sets, seccomp = caps.everything(available), None
    else:
        sets, seccomp = caps.Sets(process.capabilities, available), container.filter
    confinement = launch.Confinement(sets, available, seccomp, apparmor)
    if (
        control.receive(control.CHILD_FD) is None
    ):  # the talker was killed before it had recorded this process
        os._exit(128 + signal.SIGKILL)
    launch.run(process, confinement, warnings, make_cwd=False)


def _make_terminal(size: tuple[int, int]) -> None:
    """Open a terminal of the container's devpts and make it this session's."""
    master = devices.open_master(None, "/dev/pts/ptmx")
    slave = devices.open_slave(master)
    control.send_with_fd(control.CHILD_FD, {"pty": True}, master)
    os.close(master)
    devices.set_size(slave, *size)
    devices.take_terminal(slave)


def _process(own: Process, wanted: Wanted) -> Process:
    """Return what to execute: the container's process with what the session has of its own."""
    process = dataclasses.replace(
        own,
        args=wanted.args,
        env=wanted.env or own.env,
        cwd=wanted.cwd or own.cwd,
        terminal=wanted.terminal,
        console_size=wanted.size if all(wanted.size) else own.console_size,
        groups=(*own.groups, *wanted.groups),
    )
    if wanted.user:
        process.user, process.additional_gids, process.groups = wanted.user, (), wanted.groups
    if wanted.privileged:
        process.apparmor_profile = ""
        process.no_new_privileges = False
    return process
