"""Driving a spawner and its shims by what they promise to the world: a packet socket, and calls in frames."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.shim.v1 import spawner_pb2 as spawner_pb
from scow.api.types.v1.types_pb2 import Mount
from scow.contract import frames
from scow.contract.errors import ScowError, from_wire
from scow.contract.shim_files import State
from tests.integration.shim import bundles
from tests.support.processes import PATIENCE, alive, wait_for

SECONDS = 20 * PATIENCE


class Unanswered(Exception):
    """The connection ended without an answer: who should have answered died."""


class Spawner:
    """A spawner of a test's own, with a folder for everything its containers need."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self.home = Path(tempfile.mkdtemp(prefix="scow-shim-"))
        self.socket = self.home / "spawner.sock"
        self.parent = "t" + self.home.name.replace("_", "-")
        self.base = self.home / "base"
        bundles.unpack_base(self.base)
        self._count = 0
        self.start()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.log = (self.home / "spawner.log").open("ab")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "scow.shim.spawner", "--socket", self.socket),
                *("--seccomp-cache", self.home / "seccomp"),
                *self._flags,
            ],
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.log.close()
        wait_for(self._answers, "the spawner")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.printed()
        try:
            return bool(self.ask(ping=spawner_pb.Ping()).pong.pid)
        except OSError:
            return False

    def printed(self) -> str:
        """Return what the spawner and its children wrote to stderr."""
        return (self.home / "spawner.log").read_text()

    def connect(self) -> socket.socket:
        """Connect to it."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(SECONDS)
        connection.connect(str(self.socket))
        return connection

    def send_raw(self, packet: bytes) -> spawner_pb.SpawnerAnswer | None:
        """Send a packet; return the answer, None when the connection ends without one."""
        with self.connect() as connection:
            connection.send(packet)
            raw = connection.recv(1 << 16)
        return spawner_pb.SpawnerAnswer.FromString(raw) if raw else None

    def ask(self, **request: Any) -> spawner_pb.SpawnerAnswer:
        """Send a request; return the answer or raise what it says."""
        with self.connect() as connection:
            return exchange(connection, **request)

    def reap(self, state: Path, *, force: bool = False) -> pb.Exit:
        """Have a state directory reaped; return the exit record."""
        return self.ask(reap=spawner_pb.Reap(state_dir=str(state), force=force)).reaped

    def pid(self) -> int:
        """Ask the spawner for its PID."""
        return self.ask(ping=spawner_pb.Ping()).pong.pid

    def box(self, made: dict[str, Any] | None = None) -> Box:
        """Write the bundle of a further container."""
        self._count += 1
        return Box(self, f"box{self._count}", made or bundles.config())

    def close(self) -> None:
        """End the spawner and remove everything, or fail saying what is left."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        left = [path for path in cgroup_directories(self.parent) if any(path.glob("*/"))]
        for directory in cgroup_directories(self.parent):
            with contextlib.suppress(OSError):
                directory.rmdir()
        shutil.rmtree(self.home, ignore_errors=True)
        assert not left, f"cgroups are left: {left}"


def cgroup_directories(path: str) -> list[Path]:
    """Return the directories of a cgroup in every hierarchy of the host that has it."""
    root = Path("/sys/fs/cgroup")
    candidates = [root, *(entry for entry in root.iterdir() if entry.is_dir())]
    return [found for point in candidates if (found := point / path).is_dir()]


@dataclass
class Result:
    """What a process wrote and how it ended."""

    code: int
    out: bytes
    err: bytes
    exit: pb.Exit

    @property
    def text(self) -> str:
        """Standard output without the last line's end."""
        return self.out.decode().rstrip("\n")


class Connection:
    """One call."""

    def __init__(
        self, path: Path, method: str, request: Message | None, timeout: float = SECONDS
    ) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        data = request.SerializeToString() if request is not None else b""
        self.send(frames.REQUEST, pb.Call(method=method, request=data))

    def send(self, kind: int, message: Message | None, flags: int = 0) -> None:
        """Send a frame."""
        data = message.SerializeToString() if message is not None else b""
        self._socket.sendall(frames.frame(kind, data, flags))

    def receive(self) -> tuple[int, bytes]:
        """Return the next frame's type and data; raise what a last one tells."""
        length, kind, _ = frames.parse_header(self._exactly(frames.HEADER.size))
        data = self._exactly(length)
        if kind == frames.RESPONSE:
            result = pb.Result.FromString(data)
            if result.HasField("error"):
                error = result.error
                raise from_wire(error.code, error.message, error.SerializeToString())
            data = result.response
        return kind, data

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the shim ended the call")
            data += piece
        return data

    def close(self) -> None:
        """Cancel, unless it has ended."""
        self._socket.close()


class Stub:
    """The shim's methods, each call on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Any:
        def call(request: Message, *, timeout: float = SECONDS) -> Any:
            connection = Connection(self._path, name, request, timeout)
            try:
                return getattr(pb, f"{name}Response").FromString(connection.receive()[1])
            finally:
                connection.close()

        return call


class Conversation:
    """A bidirectional stream, attach or exec: messages of bytes and sizes in, output and an exit out."""

    def __init__(self, path: Path, method: str, first: Any) -> None:
        self._request = getattr(pb, f"{method}Request")
        self._response = getattr(pb, f"{method}Response")
        self._connection = Connection(path, method, None)
        self._put(open=first)
        _, data = self._connection.receive()
        self.first = self._response.FromString(data)
        self.out = b""
        self.err = b""
        self.exit: pb.Exit | None = None

    def _put(self, **fields: Any) -> None:
        self._connection.send(frames.DATA, self._request(**fields))

    def send(self, data: bytes) -> None:
        """Send input."""
        self._put(stdin=data)

    def close_stdin(self) -> None:
        """End the input."""
        self._put(close_stdin=True)

    def resize(self, rows: int, columns: int) -> None:
        """Set the window size."""
        size = pb.WindowSize(rows=rows, columns=columns)
        self._put(resize=size)

    def step(self) -> bool:
        """Take one message; False after the last."""
        kind, data = self._connection.receive()
        if kind == frames.RESPONSE:
            return False
        message = self._response.FromString(data)
        self.out += message.stdout
        self.err += message.stderr
        if message.HasField("exit"):
            self.exit = message.exit
        return True

    def until(self, text: bytes) -> None:
        """Read until the output has a text."""
        while text not in self.out:
            assert self.step(), f"no {text!r} in {self.out!r} {self.err!r}"

    def finish(self) -> Result:
        """Read to the end."""
        while self.step():
            pass
        self.cancel()
        assert self.exit is not None
        return Result(self.exit.code, self.out, self.err, self.exit)

    def cancel(self) -> None:
        """Go away."""
        self._connection.close()


NOT_YET = State("", "", 0, 0)


class Box:
    """One container, from its bundle to its end."""

    def __init__(self, spawner: Spawner, name: str, made: dict[str, Any]) -> None:
        self.spawner = spawner
        self.name = name
        self.bundle = spawner.home / name / "bundle"
        self.state = spawner.home / name / "state"
        self.socket = self.state / "shim.sock"
        self.log = spawner.home / name / "log"
        self.state.mkdir(parents=True, mode=0o700)
        bundles.write(self.bundle, spawner.base, made)
        self.ids = NOT_YET
        self.netns = ""
        self.stub = Stub(self.socket)
        self._spawn: socket.socket | None = None

    def request(self, **fields: Any) -> spawner_pb.Spawn:
        """Return a spawn request."""
        wanted: dict[str, Any] = {
            "id": self.name,
            "bundle": str(self.bundle),
            "state_dir": str(self.state),
            "socket": str(self.socket),
            "cgroup_parent": self.spawner.parent,
            "log": spawner_pb.ShimLog(path=str(self.log)),
            **fields,
        }
        return spawner_pb.Spawn(**wanted)

    def spawn(self, **fields: Any) -> Box:
        """Make shim and init."""
        self._spawn = self.spawner.connect()
        self.netns = exchange(self._spawn, spawn=self.request(**fields)).spawned.netns
        self.ids = State.read(self.state) or NOT_YET
        return self

    def start(self, **fields: Any) -> Box:
        """Spawn unless that was done, and start."""
        if not self.ids.pid:
            self.spawn(**fields)
        self.launch()
        return self

    def connection(self) -> socket.socket:
        """Return a further descriptor of the connection on which it was spawned."""
        assert self._spawn is not None
        return self._spawn.dup()

    def forget(self) -> None:
        """Close the connection on which it was spawned."""
        if self._spawn is not None:
            self._spawn.close()

    def launch(self, mounts: Sequence[Mount] = ()) -> spawner_pb.Started:
        """Start what was spawned; return the answer."""
        assert self._spawn is not None
        try:
            return exchange(self._spawn, start=spawner_pb.Start(mounts=mounts)).started
        finally:
            self._spawn.close()

    def wait(self) -> pb.Exit:
        """Wait for the end of the init."""
        try:
            response: pb.WaitResponse = self.stub.Wait(pb.WaitRequest())
            return response.exit
        except OSError:  # the shim has ended, as it does after its container
            return self.recorded()

    def recorded(self) -> pb.Exit:
        """Return the record of the end."""
        record = json.loads((self.state / "exit.json").read_text())
        made = pb.Exit(**{key: record[key] for key in ("code", "signal", "oom_killed", "error")})
        made.time.FromNanoseconds(record["time_ns"])
        return made

    def attach(self, *, stdin: bool = False) -> Conversation:
        """Attach to everything."""
        opened = pb.AttachRequest.Open(stdin=stdin, stdout=True, stderr=True)
        return Conversation(self.socket, "Attach", opened)

    def run(self, **fields: Any) -> Result:
        """Spawn, attach, start and read to the end."""
        self.spawn(**fields)
        attached = self.attach()
        self.start()
        return attached.finish()

    def execute(
        self,
        *args: str,
        exec_id: str = "",
        stdin: bool = False,
        detach: bool = False,
        **fields: Any,
    ) -> Conversation:
        """Execute a further process."""
        opened = pb.ExecRequest.Open(
            exec_id=exec_id or f"x{os.urandom(4).hex()}",
            process=pb.Process(args=args, **fields),
            stdin=stdin,
            detach=detach,
        )
        return Conversation(self.socket, "Exec", opened)

    def output(self, *args: str, **fields: Any) -> str:
        """Return what a further process writes; it must succeed."""
        result = self.execute(*args, **fields).finish()
        assert result.code == 0, result
        return result.text

    def records(self) -> list[dict[str, str]]:
        """Return the records of the log, without those that were rotated away."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def logged(self) -> str:
        """Return the text of the log."""
        return "".join(record["log"] for record in self.records()) if self.log.exists() else ""

    def cgroups(self) -> list[Path]:
        """Return the container's cgroup directories."""
        return cgroup_directories(f"{self.spawner.parent}/{self.name}")

    def kill_shim(self) -> None:
        """kill -9 of the shim."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.ids.shim_pid, signal.SIGKILL)
        wait_for(lambda: not alive(self.ids.shim_pid), "the end of the shim")

    def end(self) -> None:
        """Shut down, or reap what a killed shim left; all must be gone then."""
        if not self.ids.pid:
            return
        if self._spawn is not None:
            self._spawn.close()
        try:
            self.stub.Shutdown(pb.ShutdownRequest())
        except (OSError, ScowError):
            if self.spawner.process.poll() is None:
                self.spawner.reap(self.state, force=True)
            else:
                command = [sys.executable, "-m", "scow.shim.spawner.reap", "--force"]
                command += ["--state-dir", str(self.state)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wait_for(lambda: not alive(self.ids.shim_pid), "the end of the shim")
        assert not self.cgroups()
        assert not alive(self.ids.pid)
        self.ids = NOT_YET


def exchange(connection: socket.socket, **request: Any) -> spawner_pb.SpawnerAnswer:
    """Send a packet and return the answer, or raise what it says."""
    connection.send(spawner_pb.SpawnerRequest(**request).SerializeToString())
    raw = connection.recv(1 << 16)
    if not raw:
        raise Unanswered
    answer = spawner_pb.SpawnerAnswer.FromString(raw)
    if answer.HasField("error"):
        error = answer.error
        raise from_wire(error.code, error.message, error.SerializeToString())
    return answer


def reason(error: ScowError) -> str:
    """Return the reason of an error."""
    return error.reason
