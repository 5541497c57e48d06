"""One container's life: created, running, paused, stopped.

created -> running    `start`: the init was told to go on and has executed its program
created -> stopped    `start` failed, or the init was killed before
running <-> paused    `pause`, `resume`
running -> stopped    the init ended; what is in its pipes is delivered, exit.json written, then waiters are told
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.shim import VERSION, cgroup
from scow.shim.confine import seccomp
from scow.shim.errors import ShimError
from scow.shim.init import control, follow, namespaces
from scow.shim.init import process as init
from scow.shim.keeper import exit_record
from scow.shim.keeper.children import Children
from scow.shim.keeper.exit_record import Exit
from scow.shim.keeper.logfile import MAX_FILES, MAX_SIZE, LogFile
from scow.shim.keeper.stdio import Stdio
from scow.shim.oci import config

CREATED, RUNNING, PAUSED, STOPPED = 1, 2, 3, 4
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """A spawn request (see `spawner`)."""

    id: str
    bundle: str
    state_dir: str
    socket: str
    cgroup_parent: str
    stdin: bool
    stdin_once: bool
    log: LogFile | None
    seccomp_cache: str | None
    # Layers that the spawner has mounted: descriptors by the path of the index, closed once the init has them.
    layers: Mapping[str, int] = field(default_factory=dict)


def log_of(wanted: dict[str, Any] | None) -> LogFile | None:
    """Make the log that a spawn request asks for."""
    driver = (wanted or {}).get("driver", "none")
    if wanted is None or driver == "none":
        return None
    if driver != "json-file" or not wanted.get("path"):
        text = f"the log driver {driver!r} is neither json-file (with a path) nor none"
        raise ShimError("INVALID_ARGUMENT", "INVALID_CONFIG", text, what="log", which=str(driver))
    max_size = int(wanted.get("max_size") or MAX_SIZE)
    return LogFile(wanted["path"], max_size, int(wanted.get("max_files") or MAX_FILES))


class Container:
    """The container of this shim."""

    def __init__(self, request: Request, layout: cgroup.Layout) -> None:
        self.request = request
        self.spec = config.load(request.bundle)
        self.cgroup = layout.cgroup(request.cgroup_parent, request.id)
        self.children = Children()
        self.status = CREATED
        self.pid = 0
        self.exit: Exit | None = None
        self.filter: seccomp.Filter | None = None
        self.stdio: Stdio
        self.state = exit_record.State(
            request.id, VERSION, os.getpid(), exit_record.start_ticks(os.getpid())
        )
        self._control: socket.socket
        self._start: asyncio.Task[None] | None = None
        self._made = False
        self._starting = False
        self._early_status: int | None = None
        self._start_error: ShimError | None = None
        self._size = (0, 0)
        self._ended = asyncio.Event()

    def create(self) -> None:
        """Make the cgroup and fork the init; `ready` then waits for its namespaces."""
        plan = namespaces.plan(self.spec.namespaces)
        try:
            cgroup.require_free(self.cgroup.directories)
            self._made = True
            self.state.cgroups = list(self.cgroup.directories)
            exit_record.write_state(self.request.state_dir, self.state)
            self.state.warnings += self.cgroup.create(self.spec.resources)
            if self.spec.seccomp is not None:
                self.filter = seccomp.prepare(self.spec.seccomp, self.request.seccomp_cache)
            self._fork(plan)
        finally:
            plan.close()
        self.state.pid = self.pid
        self.state.pid_start_ticks = exit_record.start_ticks(self.pid)
        exit_record.write_state(self.request.state_dir, self.state)

    def _fork(self, plan: namespaces.Plan) -> None:
        process = self.spec.process
        self.stdio = Stdio(
            terminal=process.terminal, stdin=self.request.stdin, log=self.request.log
        )
        ours, theirs = control.pair()
        directory = self.cgroup.open_for_clone()
        try:
            pid = namespaces.fork(plan, directory)
            if pid == 0:
                init.main(
                    init.Plan(
                        self.spec,
                        plan,
                        self.cgroup,
                        self.filter,
                        self.stdio.child,
                        theirs.fileno(),
                        self.request.layers,
                    )
                )
        finally:
            theirs.close()
            for descriptor in self.request.layers.values():
                os.close(descriptor)
            if directory is not None:
                os.close(directory)
        self._control = ours
        self.pid = pid
        self.stdio.close_child_side()
        self.children.add(pid, self._on_exit)

    async def ready(self) -> None:
        """Wait until the init has its namespaces."""
        message, _ = await follow.receive(self._control)
        if message is None:
            text = "the init was killed while it set its namespaces up"
            raise ShimError("INTERNAL", "CONTAINER_SETUP_FAILED", text)
        if "error" in message:
            raise ShimError.from_json(message["error"])

    async def start(self, mounts: list[config.Mount]) -> None:
        """Let the init go on, and wait until it has executed its program.

        Raises:
            ShimError: why it could not; the container has ended then.
        """
        if self.status != CREATED or self._starting:
            reason = "CONTAINER_RUNNING" if self.status != STOPPED else "CONTAINER_NOT_RUNNING"
            text = "the container was started before"
            raise ShimError("FAILED_PRECONDITION", reason, text, what="container", which=self.id)
        self._starting = True
        # Shielded: a caller that goes away must not leave a process whose output nobody reads.
        self._start = follow.kept(self._begin(mounts))
        await asyncio.shield(self._start)

    async def _begin(self, mounts: list[config.Mount]) -> None:
        try:
            await self._launch(mounts)
        except ShimError as error:
            self._start_error = error
            if self.pid in self.children:  # it may have ended by itself, and been waited for
                _signal(self.pid, signal.SIGKILL)
            raise
        finally:
            self._starting = False
            self._control.close()
            if self._early_status is not None:
                self._on_exit(self._early_status)
            elif self._start_error is not None:
                await self._ended.wait()

    async def _launch(self, mounts: list[config.Mount]) -> None:
        entries = [
            {"destination": m.destination, "type": m.type, "source": m.source, "options": m.options}
            for m in mounts
        ]
        message = {"start": {"mounts": entries, "size": self._size if all(self._size) else None}}
        try:
            control.send(self._control.fileno(), message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._killed() from error
        master = await follow.to_exec(self._control, self.warn)
        if master is None:
            raise self._killed()
        if master >= 0:
            self.stdio.adopt(master)
        self.stdio.start()
        self.status = RUNNING

    def warn(self, warnings: list[str]) -> None:
        """Keep warnings where `state.json` tells them."""
        self.state.warnings += warnings
        exit_record.write_state(self.request.state_dir, self.state)

    def _killed(self) -> ShimError:
        text = "the init was killed before it executed the container's process"
        if self.cgroup.oom_kills():
            text += ": the memory limit is too small"
        return ShimError(
            "FAILED_PRECONDITION", "CONTAINER_NOT_RUNNING", text, what="container", which=self.id
        )

    @property
    def id(self) -> str:
        """The container's id."""
        return self.request.id

    def _on_exit(self, status: int) -> None:
        if self._starting:  # `start` has yet to read why
            self._early_status = status
            return
        self._early_status = None
        if self.spec.namespaces.get("pid") is None or self.spec.namespaces["pid"].path:
            # Nobody kills the rest of a container that has no pid namespace of its own.
            cgroup.kill_all(self.cgroup.directories)
        self.stdio.finish()
        error = self._start_error
        oom_killed = self.cgroup.oom_kills() > 0
        if error is None and self.status == CREATED:
            error = self._killed()
        record = exit_record.from_status(
            status, oom_killed=oom_killed, error=error.message if error else ""
        )
        if self._start_error is not None:
            code = self._start_error.exit_code
            record = Exit(code, 0, record.time_ns, oom_killed, self._start_error.message)
        self._record(record)
        self.exit = record
        self.status = STOPPED
        self._ended.set()

    def _record(self, record: Exit) -> None:
        """Write exit.json; on a full disk waiters are told all the same, and writing is tried again."""
        try:
            exit_record.write_exit(self.request.state_dir, record)
        except OSError as error:
            print(f"{self.id}: exit.json: {error}", file=sys.stderr)  # noqa: T201 - the spawner's log
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._record, record)

    async def wait(self) -> Exit:
        """Wait for the end of the init; its record is on disk by then."""
        await self._ended.wait()
        assert self.exit is not None
        return self.exit

    def kill(self, number: int, *, everyone: bool = False) -> None:
        """Send a signal to the init, or to every process."""
        if self.status == STOPPED or (self.status == CREATED and number != signal.SIGKILL):
            raise self.not_running()
        if everyone and number == signal.SIGKILL:
            cgroup.kill_all(self.cgroup.directories)
        elif everyone:
            for pid in cgroup.pids_in(self.cgroup.directories):
                _signal(pid, number)
        elif self.pid in self.children:
            _signal(self.pid, number)
        if self.status == PAUSED and number == signal.SIGKILL:
            self.resume()  # a frozen process of v1 does not die

    def not_running(self) -> ShimError:
        """Make the error for what needs a running container."""
        text = f"the container {self.id} is not running"
        return ShimError(
            "FAILED_PRECONDITION", "CONTAINER_NOT_RUNNING", text, what="container", which=self.id
        )

    def pause(self) -> None:
        """Freeze every process."""
        if self.status == PAUSED:
            return
        if self.status != RUNNING:
            raise self.not_running()
        self.cgroup.freeze()
        self.status = PAUSED

    def resume(self) -> None:
        """Thaw every process."""
        if self.status not in (RUNNING, PAUSED):
            raise self.not_running()
        if self.status == PAUSED:
            self.cgroup.thaw()
            self.status = RUNNING

    def resize(self, rows: int, columns: int) -> None:
        """Set the window size; before the start it is kept for the start."""
        if self.status == CREATED:
            self._size = (rows, columns)
        else:
            self.stdio.resize(rows, columns)

    async def end(self) -> Exit | None:
        """Kill what still runs and remove the cgroup; idempotent."""
        if self.status == PAUSED:
            self.cgroup.thaw()
        if self.pid in self.children:
            _signal(self.pid, signal.SIGKILL)
            await self._ended.wait()
        await self.remove_cgroup()
        return self.exit

    async def remove_cgroup(self) -> None:
        """Kill and remove, as often as it takes."""
        pause = 0.001
        while not cgroup.remove(self.cgroup.directories):
            cgroup.kill_all(self.cgroup.directories)
            if pause > 2:
                text = f"processes of {self.id} do not die"
                which = self.cgroup.directories[0]
                raise ShimError("INTERNAL", "CONTAINER_SETUP_FAILED", text, which=which)
            await asyncio.sleep(pause)
            pause *= 1.5

    def abandon(self) -> None:
        """Undo `create` after it failed; what another shim made in its place is not touched."""
        if not self._made:
            return
        if self.pid in self.children:  # otherwise it has ended and was waited for
            _signal(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # or is being waited for right now
                os.waitpid(self.pid, 0)
        cgroup.end(self.cgroup.directories)
        path = os.path.join(self.request.state_dir, exit_record.STATE)
        if os.path.exists(path):
            os.unlink(path)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
