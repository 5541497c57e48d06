"""The spawner, as the container service sees it: it forks shims, and clears up after those that died.

Its protocol is in scow/api/shim/v1/spawner.proto. It is another program: this service starts it, detached, when none
answers, and never
stops it. One that this service started ends by itself when it has no shim and nobody asks; this service asks while it
runs, so that no container has to wait until a spawner has loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from scow.api.shim.v1 import prober_pb2 as prober_pb
from scow.api.shim.v1 import spawner_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.container.runtime.shim import exit_of
from scow.contract.errors import ScowError, ServiceUnavailable, ShimDied, from_wire
from scow.contract.shim_files import Exit

_PACKET = 1 << 16
_START_SECONDS = 60.0
_LOOK_SECONDS = 30.0  # between two looks whether there is one
_log = structlog.get_logger()


class Spawner:
    """Asks the spawner.

    Args:
        socket: The spawner's socket.
        seccomp_cache: Folder of compiled profiles.
        log: File for what it prints.
        start: Start one when none answers; otherwise someone else does.
        idle: Seconds without a shim and a request after which one that is started here ends; 0 means never.
    """

    def __init__(
        self, path: Path, seccomp_cache: Path, log: Path, *, start: bool = True, idle: float = 0.0
    ) -> None:
        self._path = path
        self._seccomp_cache = seccomp_cache
        self._log_path = log
        self._start = start
        self._idle = idle
        self._starting = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    async def spawn(self, request: pb.Spawn) -> Spawned:
        """Make a shim with a paused init.

        Raises:
            ScowError: What the spawner or the shim says.
            ShimDied: It died before it answered: ask for `reap`.
            ServiceUnavailable: There is no spawner, and none can be started.
        """
        connection = await self._connect()
        try:
            answer, _ = await self._converse(connection, pb.SpawnerRequest(spawn=request))
        except BaseException:
            connection.close()
            raise
        return Spawned(answer.spawned, self, connection)

    async def launch(
        self, connection: socket.socket, mounts: Sequence[Mount], secrets: int
    ) -> pb.Started:
        """Have a paused init go on (see `Spawned.start`)."""
        request = pb.SpawnerRequest(start=pb.Start(mounts=mounts))
        answer, _ = await self._converse(connection, request, secrets)
        return answer.started

    async def reap(self, state: Path, *, force: bool = False) -> Exit:
        """End what a shim that died left behind; return the exit record.

        Raises:
            ShimRunning: The shim lives, and `force` is not set.
            ShimDied: The spawner died meanwhile.
            ServiceUnavailable: There is no spawner, and none can be started.
        """
        request = pb.SpawnerRequest(reap=pb.Reap(state_dir=str(state), force=force))
        return exit_of((await self._ask(request)).reaped)

    async def view(self, mounts: Sequence[Mount]) -> int:
        """Mount a container's root file system to be read; return a descriptor of its root, the caller's to close.

        Args:
            mounts: Those that make it.

        Raises:
            ScowError: As `spawn`.
        """
        request = pb.SpawnerRequest(view=pb.View(rootfs=mounts))
        _, descriptor = await self._exchange(request)
        if descriptor is None:
            raise _died(self._path)
        return descriptor

    async def whole(
        self, rootfs: Sequence[Mount], mounts: Sequence[Mount], *, read_only: bool
    ) -> int:
        """Mount the root of a container that does not run, to be written to; return its descriptor, the caller's.

        Args:
            rootfs: The mounts that make it.
            mounts: Binds in it.
            read_only: The root is, apart from its mounts.

        Raises:
            ScowError: As `spawn`.
        """
        view = pb.View(rootfs=rootfs, whole=True, mounts=mounts, read_only=read_only)
        _, descriptor = await self._exchange(pb.SpawnerRequest(view=view))
        if descriptor is None:
            raise _died(self._path)
        return descriptor

    async def extract(self, directory: int, archive: socket.socket, first_id: int) -> None:
        """Have an archive's entries written into a directory (see the contract).

        Args:
            directory: Descriptor.
            archive: The process's end of a pair; it may be closed then.
            first_id: The host's id for the id 0 of the directory's user namespace.

        Raises:
            ScowError: As `spawn`.
        """
        connection = await self._connect()
        try:
            request = pb.SpawnerRequest(extract=pb.Extract(first_id=first_id))
            packet = [request.SerializeToString()]
            # A packet that is the first on its connection always has room.
            socket.send_fds(connection, packet, [directory, archive.fileno()])
            await self._answered(connection)
        finally:
            connection.close()

    async def copy(self, mounts: Sequence[Mount], copies: Sequence[tuple[str, str]]) -> None:
        """Copy directories of a root file system to where volumes take their first content from.

        When the caller is cancelled, the copying ends.

        Args:
            mounts: Those that make the root file system.
            copies: Path in it, path of the directory to be made.

        Raises:
            ScowError: As `spawn`.
        """
        items = [pb.Copy.Item(source=source, target=target) for source, target in copies]
        await self._ask(pb.SpawnerRequest(copy=pb.Copy(rootfs=mounts, items=items)))

    async def prober(self) -> socket.socket:
        """Return the connection to a new prober (scow/api/shim/v1/prober.proto), which ends with it.

        Raises:
            ScowError: As `spawn`.
        """
        connection = await self._connect()
        try:
            await self._converse(connection, pb.SpawnerRequest(prober=prober_pb.Prober()))
        except BaseException:
            connection.close()
            raise
        return connection

    async def ensure(self) -> None:
        """Start a spawner unless one answers."""
        await self._ask(pb.SpawnerRequest(ping=pb.Ping()))

    async def keep(self) -> None:
        """Keep a spawner there until this is cancelled."""
        while True:
            try:
                await self.ensure()
            except (ScowError, OSError) as error:
                _log.warning("no spawner", error=str(error))
            await asyncio.sleep(self._idle / 2 if self._idle else _LOOK_SECONDS)

    async def _ask(self, request: pb.SpawnerRequest) -> pb.SpawnerAnswer:
        answer, _ = await self._exchange(request)
        return answer

    async def _exchange(self, request: pb.SpawnerRequest) -> tuple[pb.SpawnerAnswer, int | None]:
        """Send a request; return the answer, and the descriptor that came with it."""
        connection = await self._connect()
        try:
            return await self._converse(connection, request)
        finally:
            connection.close()

    async def _converse(
        self, connection: socket.socket, request: pb.SpawnerRequest, passed: int = -1
    ) -> tuple[pb.SpawnerAnswer, int | None]:
        packet = request.SerializeToString()
        with contextlib.suppress(OSError):
            if passed >= 0:  # there is room: nothing but the Spawn went this way
                socket.send_fds(connection, [packet], [passed])
            else:
                await asyncio.get_running_loop().sock_sendall(connection, packet)
        return await self._answered(connection)

    async def _answered(self, connection: socket.socket) -> tuple[pb.SpawnerAnswer, int | None]:
        try:
            raw, descriptor = await _receive(connection)
        except OSError:
            raw, descriptor = b"", None
        if not raw:
            raise _died(self._path)
        answer = pb.SpawnerAnswer.FromString(raw)
        if answer.HasField("error"):
            fault = answer.error
            raise from_wire(fault.code, fault.message, fault.SerializeToString())
        return answer, descriptor

    async def _connect(self) -> socket.socket:
        try:
            return await self._try()
        except OSError:
            pass
        async with self._starting:
            try:
                return await self._try()
            except OSError as error:
                if not self._start:
                    raise self._unavailable(error.strerror) from error
            self._launch()
            return await self._wait()

    async def _try(self) -> socket.socket:
        connection = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        return connection

    def _launch(self) -> None:
        """Start it, detached: it is not to end with this service."""
        _log.info("starting the spawner", socket=str(self._path))
        self._seccomp_cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(self._log_path, flags, 0o640)
        try:
            # No preexec_fn: the child is made by vfork, which leaves gRPC's threads alone.
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "scow.shim.spawner"),
                    *("--socket", str(self._path), "--seccomp-cache", str(self._seccomp_cache)),
                    *("--idle-seconds", f"{self._idle:g}"),
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _wait(self) -> socket.socket:
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while True:
            try:
                return await self._try()
            except OSError as error:
                code = None if self._process is None else self._process.poll()
                if code or asyncio.get_running_loop().time() > deadline:
                    raise self._unavailable(error.strerror) from error
            if code == 0:
                # It found another one, which has yet to begin to listen, or was just ending.
                self._launch()
            await asyncio.sleep(0.01)

    def _unavailable(self, why: str | None) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the spawner does not answer at {self._path}: {why}",
            what="service",
            which="spawner",
            do=f"see {self._log_path}",
        )

    def collect(self) -> None:
        """Collect the exit status of a spawner that this process started and that ended."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None


class Spawned:
    """A container that waits to be started.

    Attributes:
        netns: Path of its network namespace.
        stages: How long the parts of the latest step took.
    """

    def __init__(self, made: pb.Spawned, spawner: Spawner, connection: socket.socket) -> None:
        self.netns = made.netns
        self.stages: Sequence[pb.Stage] = made.stages
        self._spawner = spawner
        self._connection = connection

    async def start(self, mounts: Sequence[Mount], secrets: int = -1) -> tuple[int, int]:
        """Let it execute its program; return its PID and the time in nanoseconds.

        Args:
            mounts: Further ones, known only after the network was attached (resolv.conf, hosts, hostname).
            secrets: Descriptor of a file with the container's secrets; -1: it has none.

        Raises:
            CommandNotFound, CommandNotExecutable, UserNotFound, MountFailed: It cannot be executed; it has ended.
            ShimDied: Its shim died.
        """
        started = await self._spawner.launch(self._connection, mounts, secrets)
        self.stages = started.stages
        return started.pid, started.started_at.ToNanoseconds()

    def close(self) -> None:
        """Let go; a container that was not started ends."""
        self._connection.close()


async def _receive(connection: socket.socket) -> tuple[bytes, int | None]:
    """Receive one packet, and the descriptor that may come with it."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _set, readable)
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    answer, descriptors, _, _ = socket.recv_fds(connection, _PACKET, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return answer, (descriptors[0] if descriptors else None)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _died(path: Path) -> ShimDied:
    return ShimDied(
        "the spawner's child died before it answered",
        what="spawner",
        which=str(path),
        do="try again",
    )


def _environment() -> dict[str, str]:
    """Return the environment for the spawner: it is not the supervisor's business when it is ready."""
    return {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
