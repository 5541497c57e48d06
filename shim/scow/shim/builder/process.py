"""The builder: makes a container's cgroup, namespaces and waiting init, answers the spawn request, starts, and ends.

It is the keeper's child, and so is the init (CLONE_PARENT). What it dirtied of the memory that it shares with the
spawner goes with it. A client that goes away between spawn and start ends the container.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from google.protobuf.message import DecodeError

from scow.api.shim.v1 import spawner_pb2 as pb
from scow.contract import shim_files
from scow.contract.errors import ContainerNotRunning, ContainerSetupFailed, ScowError
from scow.contract.shim_files import STATE, State
from scow.kernel import identity, syscalls
from scow.shim import VERSION, cgroup
from scow.shim.builder import rehearsal
from scow.shim.confine import apparmor, seccomp
from scow.shim.errors import exit_code, from_exception, from_json
from scow.shim.init import control, follow, hooks, namespaces
from scow.shim.init import process as init
from scow.shim.keeper import exit_record, link
from scow.shim.keeper.process import KILLED
from scow.shim.keeper.request import Request, receive_with
from scow.shim.oci import config
from scow.shim.rootfs import mount_ids, storage
from scow.shim.rootfs import root as rootfs

_REQUEST_MAX = 128 << 10
_BACKLOG = 128


def main(requests: _socket.socket, keeper: _socket.socket, shim: int) -> NoReturn:
    """Run in the forked child; never returns.

    Args:
        requests: Where the spawn request comes from, with the connection of whoever asked and the layers of the root.
        keeper: The way to the keeper.
        shim: PID of the keeper. Not to be asked for: the parent of an orphan is the spawner.
    """
    try:
        prepared = None
        if not select.select([requests], [], [], 0)[0]:
            prepared = namespaces.Prepared()
            rehearsal.rehearse()
        found = receive_with(requests)
        if found is None:
            os._exit(0)
        request, asker, layers = found
        requests.close()
        syscalls.set_name(b"scow-builder")
        connection = socket.socket(fileno=asker)
        connection.settimeout(None)
        _run(Builder(request, layers, keeper, shim, prepared), connection)
    except BaseException:  # noqa: BLE001 - the child must never return to the keeper's code
        traceback.print_exc()
    finally:
        os._exit(0)


def _run(made: Builder, connection: socket.socket) -> None:
    keeper = made.keeper
    try:
        made.create()
        made.ready()
        listener = _listen(made.request.socket)
    except Exception as error:  # noqa: BLE001 - whatever it is travels to who asked
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)  # the keeper goes first
        made.abandon()
        link.send(keeper, link.UNDONE)
        while link.receive(keeper)[0]:
            pass
        answer(connection, refusal(from_exception(error, "create the container")))
        return
    with listener:
        link.send(keeper, link.READY, (listener.fileno(),))
    answer(connection, made.description())
    wanted = made.await_start(connection)
    if wanted is None:
        return  # the keeper ends what nobody will start
    try:
        made.start(wanted)
    except Exception as error:  # noqa: BLE001 - whatever it is travels to who asked
        typed = from_exception(error, "start the container")
        made.fail(typed)
        answer(connection, refusal(typed))
    else:
        started = pb.Started(pid=made.pid, stages=made.stages())
        started.started_at.GetCurrentTime()
        answer(connection, pb.SpawnerAnswer(started=started))


class Builder:
    """Makes one container.

    Args:
        request: The spawn request.
        layers: What the spawner has mounted: descriptors by the path of the index, closed once the init has them.
        keeper: The way to the keeper.
        shim: PID of the keeper.
        prepared: Namespaces that were made before there was a request.
    """

    def __init__(
        self,
        request: Request,
        layers: Mapping[str, int],
        keeper: _socket.socket,
        shim: int,
        prepared: namespaces.Prepared | None,
    ) -> None:
        self.request = request
        self.keeper = keeper
        self.spec: config.Spec
        self.cgroup: cgroup.Cgroup
        self.pid = 0
        self._layers = layers
        self._prepared = prepared
        self._pidfd = -1
        self._filter: seccomp.Filter | None = None
        self.state = State(request.id, VERSION, shim, identity.start_ticks(shim))
        self._control: socket.socket
        self._mounts: dict[str, int] = {}
        self._secrets = -1  # a descriptor of what is in them; it ends with this process
        self._made = False
        self._watch = Stopwatch()

    def create(self) -> None:
        """Read the configuration, make the cgroup and fork the init."""
        self.spec = config.load(self.request.bundle)
        self.cgroup = cgroup.discover().cgroup(self.request.cgroup_parent, self.request.id)
        plan = namespaces.plan(self.spec.namespaces)
        try:
            if self._prepared is not None:
                # A user namespace is to own the others, so that these are made in it.
                wanted = 0 if "user" in self.spec.namespaces else plan.unshare
                plan.unshare &= ~self._prepared.leave_all_but(wanted)
            cgroup.require_free(self.cgroup.directories)
            plan.add_user(self.spec)
            self._made = True
            self.state.cgroups = list(self.cgroup.directories)
            exit_record.write_state(self.request.state_dir, self.state)
            self.state.warnings += self.cgroup.create(self.spec.resources)
            self._watch.lap("cgroup")
            if self.spec.seccomp is not None:
                self._filter = seccomp.prepare(self.spec.seccomp, self.request.seccomp_cache)
            apparmor.ensure(self.spec.process.apparmor_profile)
            namespaces.offset_clocks(self.spec)
            self._fork(plan)
        finally:
            plan.close()
        self.state.pid = self.pid
        self.state.pid_start_ticks = identity.ticks_of(self.pid, self._pidfd)
        exit_record.write_state(self.request.state_dir, self.state)

    def _fork(self, plan: namespaces.Plan) -> None:
        storage.limit(self.spec)
        filesystems = rootfs.open_filesystems(self.spec)
        ours, theirs = control.pair()
        directory = self.cgroup.open_for_clone()
        stdio, kept, flags = self._pipes()
        try:
            pid, pidfd = namespaces.fork(plan, directory)
            if pid == 0:
                init.main(
                    init.Plan(
                        self.spec,
                        plan,
                        self.cgroup,
                        self._filter,
                        stdio,
                        theirs.fileno(),
                        self._layers,
                        filesystems,
                    )
                )
            self._hand_over(pid, pidfd, kept, flags)
        finally:
            theirs.close()
            if directory is not None:
                os.close(directory)
            passed = (*self._layers.values(), *filesystems.values())
            for descriptor in {*stdio, *kept, *passed}:
                os.close(descriptor)
        self._control = ours
        self.pid = pid

    def _pipes(self) -> tuple[tuple[int, int, int], list[int], int]:
        """Return the init's stdio, the keeper's ends of it, and what these are."""
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if self.spec.process.terminal:  # the terminal comes from the container's devpts
            return (null, null, null), [], 0
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        if not self.request.stdin:
            return (null, out_end, err_end), [out, err], link.HAS_PIPES
        os.close(null)
        read, stdin = os.pipe2(os.O_CLOEXEC)
        return (read, out_end, err_end), [out, err, stdin], link.HAS_PIPES | link.HAS_STDIN

    def _hand_over(self, pid: int, pidfd: int, kept: list[int], flags: int) -> None:
        """Tell the keeper of its child."""
        self._pidfd = pidfd
        own: list[int] = []
        counter = self.cgroup.oom_file()
        if counter is not None:
            own.append(os.open(counter, os.O_RDONLY | os.O_CLOEXEC))
            flags |= link.HAS_OOM
        link.send(self.keeper, link.INIT + link.INTS.pack(pid, flags), (pidfd, *own, *kept))
        for descriptor in own:
            os.close(descriptor)

    def ready(self) -> None:
        """Wait until the init has its namespaces."""
        message = self._receive()
        if message is None:
            text = "the init was killed while it set its namespaces up"
            raise ContainerSetupFailed(text)
        if "error" in message:
            raise from_json(message["error"])

    def _receive(self) -> dict[str, Any] | None:
        """Return the init's next message; hand its terminal on."""
        message, master = follow.receive(self._control)
        if master >= 0:
            link.send(self.keeper, link.TERMINAL, (master,))
            os.close(master)
        if message is not None and "mounted" in message:
            self._mounts.update([message["mounted"]])
        return message

    def await_start(self, connection: socket.socket) -> pb.Start | None:
        """Wait for the request to start; None when whoever asked went away, or the init ended."""
        poll = select.poll()
        for fd in (connection.fileno(), self._control.fileno()):
            poll.register(fd, select.POLLIN)
        while True:
            found = {fd for fd, _ in poll.poll()}
            if self._control.fileno() in found and self._receive() is None:
                link.send(self.keeper, link.DEAD)
                return self._await_request(connection)
            if connection.fileno() in found:
                return self._await_request(connection)

    def _await_request(self, connection: socket.socket) -> pb.Start | None:
        try:
            raw, descriptors, _, _ = socket.recv_fds(connection, _REQUEST_MAX, 1)
            self._secrets = descriptors[0] if descriptors else -1
            request = pb.SpawnerRequest.FromString(raw)
        except (OSError, DecodeError):
            return None
        return request.start if request.HasField("start") else None

    def start(self, wanted: pb.Start) -> None:
        """Let the init go on, and wait until it has executed its program.

        Raises:
            ScowError: why it could not.
        """
        mounts = [
            {"destination": mount.destination, **entry}
            for mount, entry in zip(wanted.mounts, shim_files.rootfs(wanted.mounts), strict=True)
        ]
        self._watch = Stopwatch()
        try:
            state = self._oci_state()
            if self.spec.hooks and self._prepared is not None:
                self._prepared.leave()
            for moment in ("prestart", "createRuntime"):
                hooks.run(self.spec.hooks.get(moment, ()), state)
            start = {"mounts": mounts, "state": state if self.spec.hooks else {}}
            if self._secrets >= 0:
                control.send_with_fd(self._control.fileno(), {"start": start}, self._secrets)
            else:
                control.send(self._control.fileno(), {"start": start})
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._killed() from error
        executing = False
        while (message := self._receive()) is not None:
            if "error" in message:
                raise from_json(message["error"])
            if "warnings" in message:
                exit_record.add_warnings(self.request.state_dir, message["warnings"])
            executing = "exec" in message
            if executing:
                self._watch.lap("mounts")
        if not executing:
            raise self._killed()
        self._watch.lap("exec")
        if self._mounts:
            mount_ids.add(self.request.state_dir, self._mounts)
        link.send(self.keeper, link.EXECUTED)
        # Who is told of the start finds a shim that knows of it.
        while link.receive(self.keeper)[0][:1] not in (link.EXECUTED, link.STOPPED, b""):
            pass

    def _oci_state(self) -> dict[str, Any]:
        """Return what hooks are told (runtime specification, "State")."""
        return {
            "ociVersion": "1.2.0",
            "id": self.request.id,
            "status": "creating",
            "pid": self.pid,
            "bundle": self.request.bundle,
        }

    def fail(self, error: ScowError) -> None:
        """Have the end recorded, and why; return once it is."""
        packet = link.FAILED + bytes((exit_code(error),)) + error.message.encode()
        link.send(self.keeper, packet[: link.PACKET_MAX // 2])
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        while True:
            packet, _ = link.receive(self.keeper)
            if packet[:1] in (link.STOPPED, b""):
                return

    def _killed(self) -> ScowError:
        text = KILLED
        if self.cgroup.oom_kills():
            text += ": the memory limit is too small"
        which = self.request.id
        return ContainerNotRunning(text, what="container", which=which)

    def description(self) -> pb.SpawnerAnswer:
        """Return the answer to the spawn request."""
        self._watch.lap("namespaces")
        spawned = pb.Spawned(netns=f"/proc/{self.pid}/ns/net", stages=self._watch.stages())
        return pb.SpawnerAnswer(spawned=spawned)

    def stages(self) -> list[pb.Stage]:
        """Return how long the parts of the start took."""
        return self._watch.stages()

    def abandon(self) -> None:
        """Undo `create` after it failed; what another shim made in its place is not touched."""
        if not self._made:
            return
        cgroup.end(self.cgroup.directories)
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        path = os.path.join(self.request.state_dir, STATE)
        if os.path.exists(path):
            os.unlink(path)


class Stopwatch:
    """How long parts of something take, one after the other."""

    def __init__(self) -> None:
        self._laps: list[tuple[str, int]] = []
        self._last = time.monotonic_ns()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.monotonic_ns()
        self._laps.append((name, now - self._last))
        self._last = now

    def stages(self) -> list[pb.Stage]:
        """Return all parts."""
        return [pb.Stage(name=name, duration=duration) for name, duration in self._laps]


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    old = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
    finally:
        os.umask(old)
    listener.listen(_BACKLOG)
    return listener


def answer(connection: socket.socket, message: pb.SpawnerAnswer) -> None:
    """Send the one packet of an answer; a client that went away is nobody's concern."""
    try:
        connection.send(message.SerializeToString())
    except OSError:
        return


def refusal(error: ScowError) -> pb.SpawnerAnswer:
    """Return the answer that says why something was not done."""
    return pb.SpawnerAnswer(error=error.to_status())
