"""Four services of one engine as processes of the test's own, each of which it can end at any moment."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2_grpc import ContainerServiceStub
from scow.api.image.v1 import image_pb2
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.shim.v1 import spawner_pb2 as spawner_pb
from scow.api.volume.v1.volume_pb2_grpc import VolumeServiceStub
from scow.contract.errors import ScowError
from tests.support import processes
from tests.support.busybox import rootfs_tar
from tests.support.engine import clean_environment, remains, remove_cgroups
from tests.support.service import from_rpc_error

SERVICES = ("image", "volume", "network", "container")


class Node:
    """One engine without a supervisor. Leaving it fails when something is left behind on the host.

    Args:
        settings: Configuration, as variables of the environment.
    """

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        letters = string.ascii_lowercase + string.digits
        self.instance = "c" + "".join(secrets.choice(letters) for _ in range(6))
        self.base = Path(tempfile.mkdtemp(prefix=f"scow-{self.instance}-"))
        self.root = self.base / "root"
        self.run = self.base / "run"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._channels = {
            name: grpc.insecure_channel(
                f"unix://{self.run}/{name}.sock",
                options=[
                    ("grpc.max_reconnect_backoff_ms", 50),
                    ("grpc.initial_reconnect_backoff_ms", 20),
                ],
            )
            for name in SERVICES
        }
        self.stub: Any = ContainerServiceStub(self._channels["container"])
        self.image: Any = ImageServiceStub(self._channels["image"])
        self.volume: Any = VolumeServiceStub(self._channels["volume"])

    def __enter__(self) -> Node:
        try:
            for name in SERVICES[:3]:
                self._launch(name)
            for name in SERVICES[:3]:
                self._wait(name)
            self.start("container")
            self._import()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = self._end()
        if error is None:
            assert not left, f"left behind: {left}"

    def _import(self) -> None:
        def messages() -> Iterator[image_pb2.ImportRequest]:
            opened = image_pb2.ImportRequest.Open(reference="busybox", changes=['CMD ["sh"]'])
            yield image_pb2.ImportRequest(open=opened)
            tar = rootfs_tar()
            for start in range(0, len(tar), 1 << 20):
                yield image_pb2.ImportRequest(chunk=tar[start : start + (1 << 20)])

        self.image.Import(messages())

    def _launch(self, name: str) -> None:
        flags = ["--root", str(self.root), "--run", str(self.run), "--instance", self.instance]
        with (self.base / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"scow.{name}", *flags],
                env={**clean_environment(), **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait(self, name: str) -> None:
        def serves() -> bool:
            process = self._processes[name]
            assert process.poll() is None, f"{name} ended: {self.log(name)}"
            try:
                stub: Any = health_pb2_grpc.HealthStub(self._channels[name])
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.RpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        processes.wait_for(serves, f"the service {name}")

    def channel(self, name: str) -> grpc.Channel:
        """Return the channel to a service."""
        return self._channels[name]

    def log(self, name: str) -> str:
        """Return the end of what a service logged."""
        return (self.base / f"{name}.log").read_text(errors="replace")[-6000:]

    def start(self, name: str) -> None:
        """Start a service and wait until it serves."""
        self._launch(name)
        self._wait(name)

    def stop(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a service."""
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait(30 * processes.PATIENCE)

    def crash(self, name: str = "container") -> None:
        """SIGKILL a service and start it again."""
        self.stop(name)
        self.start(name)

    def spawner_pid(self) -> int:
        """PID of the spawner, waiting while it is being started."""
        found: list[int] = []

        def ping() -> bool:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                try:
                    connection.connect(str(self.run / "spawner.sock"))
                    ping = spawner_pb.SpawnerRequest(ping=spawner_pb.Ping())
                    connection.sendall(ping.SerializeToString())
                    answer = spawner_pb.SpawnerAnswer.FromString(connection.recv(4096))
                except OSError:
                    return False
            found.append(answer.pong.pid)
            return bool(answer.pong.pid)

        processes.wait_for(ping, "the spawner")
        return found[0]

    def _end(self) -> list[str]:
        left: list[str] = []
        if "container" in self._processes:
            try:
                for container in self.stub.List(pb.ListRequest(all=True)).containers:
                    self.remove(container.id)
                left += [f"state {path.name}" for path in (self.run / "shims").iterdir()]
                left += [f"data {p}" for p in (self.root / "container/containers").iterdir()]
            except (grpc.RpcError, OSError) as error:
                left.append(f"{error!r} {self.log('container')}")
        for name in list(self._processes):
            self.stop(name, signal.SIGTERM)
        for channel in self._channels.values():
            channel.close()
        for pid in processes.mentioning(str(self.base)):
            line = " ".join(processes.command_line(pid))
            if line and "scow.shim.spawner" not in line:  # without one it has just ended
                left.append(line)
            processes.kill(pid)
        left += remains(self.instance)
        subprocess.run(
            [sys.executable, "-m", "scow.network.teardown", "--instance", self.instance],
            check=True,
            capture_output=True,
        )
        remove_cgroups(self.instance)
        shutil.rmtree(self.base)
        return left

    # What tests do.

    def create(self, *command: str, name: str = "", **fields: Any) -> pb.Container:
        """Create a container."""
        config = pb.ContainerConfig(**{"image": "busybox", "command": command, **fields})
        created: pb.Container = self.stub.Create(
            pb.CreateRequest(name=name, config=config)
        ).container
        return created

    def run_detached(self, *command: str, name: str = "", **fields: Any) -> pb.Container:
        """Create and start a container."""
        container = self.create(*command, name=name, **fields)
        started: pb.Container = self.stub.Start(pb.StartRequest(container=container.id)).container
        return started

    def output(self, *command: str, **fields: Any) -> tuple[int, str]:
        """Run a container to its end and remove it; return exit code and output."""
        container = self.run_detached(*command, **fields)
        try:
            code = self.wait(container.id).exit_code
            return code, self.logs(container.id)
        finally:
            self.remove(container.id)

    def get(self, container: str) -> pb.Container:
        """Describe a container."""
        found: pb.Container = self.stub.Get(pb.GetRequest(container=container)).container
        return found

    def wait(self, container: str, condition: int = 0) -> pb.WaitResponse:
        """Wait for a container's end."""
        request = pb.WaitRequest(container=container, condition=condition)  # type: ignore[arg-type]
        ended: pb.WaitResponse = self.stub.Wait(request, timeout=60 * processes.PATIENCE)
        return ended

    def remove(self, container: str, **fields: Any) -> None:
        """Remove a container by force."""
        self.stub.Remove(pb.RemoveRequest(container=container, force=True, volumes=True, **fields))

    def logs(self, container: str, **fields: Any) -> str:
        """Return what a container wrote."""
        records = self.stub.Logs(pb.LogsRequest(container=container, **fields))
        return b"".join(r.stdout or r.stderr for r in records).decode()

    def exec(
        self, container: str, *args: str, stdin: bytes = b"", **fields: Any
    ) -> tuple[int, str]:
        """Run a further process; return its exit code and output."""
        config = pb.ExecConfig(args=args, **fields)
        opened = pb.ExecRequest.Open(container=container, config=config, stdin=bool(stdin))
        requests = [pb.ExecRequest(open=opened)]
        if stdin:
            requests += [pb.ExecRequest(stdin=stdin), pb.ExecRequest(close_stdin=True)]
        code, output = -1, b""
        for response in self.stub.Exec(iter(requests), timeout=60 * processes.PATIENCE):
            output += response.stdout or response.stderr
            if response.HasField("exit"):
                code = response.exit.code
        return code, output.decode()

    def actions(self, container: str, least: int = 1) -> list[str]:
        """Return the events of a container so far; waits until there are some."""
        found: list[str] = []
        watch = self.stub.Watch(pb.WatchRequest(from_revision=1), timeout=5 * processes.PATIENCE)
        with contextlib.suppress(grpc.RpcError):
            for response in watch:
                if response.event.object_id == container:
                    found.append(response.event.action)
                if len(found) >= least:
                    watch.cancel()
        return found


def parent(pid: int) -> int:
    """Return the PID of a process's parent; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


@contextlib.contextmanager
def fails(*classes: type[ScowError]) -> Iterator[list[ScowError]]:
    """Expect a call to fail with one of these errors, and give it."""
    found: list[ScowError] = []
    try:
        yield found
    except grpc.RpcError as error:
        found.append(from_rpc_error(error))
        assert type(found[0]) in classes, repr(found[0])
        return
    raise AssertionError(f"nothing raised {classes}")


def eventually(condition: Any, seconds: float = 10.0) -> None:
    """Wait until a condition is met."""
    deadline = time.monotonic() + seconds * processes.PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def in_background(call: Any, *args: Any) -> Any:
    """Call in a thread; the result's errors are the caller's to look at."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call, *args)
    pool.shutdown(wait=False)
    return future
