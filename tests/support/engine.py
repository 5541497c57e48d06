"""An engine of a test's own: scowd with its own root, run directory, instance name and subnet.

    with Engine() as engine:
        engine.cli("run", "--rm", "busybox", "true")

Leaving the block removes all that the engine made, and fails when something is left behind.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from scow.client import Client
from tests.support import processes, resident

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ACCEPT_ALL = "default = 'accept'\n"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class Engine:
    """One running engine.

    Args:
        settings: Further keys of the configuration as SCOW_* variables.
        run_base: Where the run directory is made; None means beside the root.
    """

    def __init__(
        self, settings: dict[str, str] | None = None, run_base: Path | None = None
    ) -> None:
        letters = string.ascii_lowercase + string.digits
        self.instance = "t" + "".join(secrets.choice(letters) for _ in range(6))
        self.base = Path(tempfile.mkdtemp(prefix=f"scow-{self.instance}-"))
        self.root = self.base / "root"
        self.run = run_base / self.instance if run_base else self.base / "run"
        self.host = f"unix://{self.run}"
        self.log = self.base / "scowd.log"
        # Credentials of this engine's user, apart from those of whoever runs the tests.
        own = {
            "SCOW_CLIENT_DIR": f"{self.base}/client",
            "DOCKER_CONFIG": f"{self.base}/docker",
            # Of the resident command server.
            "XDG_RUNTIME_DIR": str(self.base),
        }
        self.env = {**clean_environment(), **own, "SCOW_HOST": self.host}
        # A trust policy apart from the machine's; a test may change it, and sets it back.
        self.policy = self.base / "policy.toml"
        self.policy.write_text(ACCEPT_ALL)
        # What builds may be made from, likewise.
        self.sources = self.base / "sources.toml"
        self.sources.write_text(ACCEPT_ALL)
        trust = {
            "SCOW_IMAGE_TRUST_POLICY": str(self.policy),
            "SCOW_BUILD_SOURCE_POLICY": str(self.sources),
        }
        self.plugins = self.base / "plugins"
        # Specifications of devices, apart from the machine's.
        self.cdi = self.base / "cdi"
        plugins = {
            "SCOW_VOLUME_PLUGIN_DIRS": str(self.plugins),
            "SCOW_CONTAINER_CDI_DIRECTORIES": str(self.cdi),
        }
        self._settings = {**clean_environment(), **trust, **plugins, **(settings or {})}
        self._scowd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        try:
            self.start()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = self.destroy()
        if error is None:
            assert not left, f"the engine left behind: {left}"

    @property
    def pid(self) -> int:
        """PID of scowd."""
        assert self._scowd is not None, "the engine is not started"
        return self._scowd.pid

    @property
    def arguments(self) -> list[str]:
        """The flags that say which engine is meant."""
        return ["--root", str(self.root), "--run", str(self.run), "--instance", self.instance]

    def start(self) -> None:
        """Start scowd and wait until all services serve."""
        with self.log.open("ab") as log:
            self._scowd = subprocess.Popen(
                [BIN / "scowd", *self.arguments],
                env=self._settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        line = _read_line(self._scowd, _START_SECONDS)
        assert line == f"scow serves at {self.host}", (
            f"scowd said {line!r}; its log:\n{self.read_log()}"
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop scowd, and with it the services, not the containers; return its exit code."""
        scowd, self._scowd = self._scowd, None
        if scowd is None:
            return 0
        services = processes.children(scowd.pid)
        scowd.send_signal(number)
        code = scowd.wait(_STOP_SECONDS)
        assert scowd.stdout is not None
        scowd.stdout.close()
        processes.wait_for(  # after SIGKILL they end by themselves: their parent died
            lambda: not any(map(processes.alive, services)), "the end of the services"
        )
        return code

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def service_pid(self, name: str) -> int:
        """Return the PID of a service, waiting while it is being started again."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [
                pid
                for pid in processes.children(self.pid)
                if processes.name(pid) == f"scow-{name}"[:15] and processes.alive(pid)
            ]
            return bool(found)

        processes.wait_for(look, f"the service {name}")
        return found[0]

    def kill_service(self, name: str) -> None:
        """End a service with SIGKILL; scowd starts it again."""
        processes.kill(self.service_pid(name))

    def wait_healthy(self) -> None:
        """Wait until every service answers."""
        from grpc import RpcError, insecure_channel
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        def healthy(service: str) -> bool:
            with insecure_channel(f"unix://{self.run}/{service}.sock") as channel:
                try:
                    answer = health_pb2_grpc.HealthStub(channel).Check(
                        health_pb2.HealthCheckRequest(), timeout=2
                    )
                except RpcError:
                    return False
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        for service in ("image", "volume", "network", "container"):
            processes.wait_for(partial(healthy, service), f"the service {service}")

    def spawner_pid(self) -> int:
        """Return the PID of the spawner."""
        socket = str(self.run / "spawner.sock")
        found: list[int] = []

        def look() -> bool:
            named = [
                pid for pid in processes.mentioning(socket) if processes.name(pid) == "scow-spawner"
            ]
            # One that it has just forked has its name for a moment.
            found[:] = [pid for pid in named if processes.parent(pid) not in named]
            return bool(found)

        processes.wait_for(look, "the spawner")
        return found[0]

    def shim_pid(self, container: str) -> int:
        """Return the PID of a container's shim: the parent of its init."""
        pid = int(self.cli("inspect", "-f", "{{.State.Pid}}", container).stdout)
        assert pid > 0, f"container {container} does not run"
        return processes.parent(pid)

    def shim_pids(self) -> list[int]:
        """Return the PIDs of all shims."""
        found = processes.children(self.spawner_pid())
        return [pid for pid in found if processes.alive(pid) and processes.name(pid) == "scow-shim"]

    def wait_for_rest(self) -> None:
        """Wait until no shim is held ready for the next start: some seconds after the last one."""
        spawner = self.spawner_pid()
        processes.wait_for(
            lambda: "scow-waiting" not in map(processes.name, processes.children(spawner)),
            "the end of what waits for a start",
        )

    def daemons(self) -> list[int]:
        """Return the PIDs of the processes that run when no container does."""
        return [self.pid, *processes.children(self.pid), self.spawner_pid()]

    def cli(
        self, *arguments: str, check: bool = True, stdin: bytes = b"", seconds: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `scow ARGUMENTS`; with `check`, a failure fails the test and shows what was printed."""
        done = subprocess.run(
            [BIN / "scow", *arguments],
            env=self.env,
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        result = subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check:
            assert result.returncode == 0, (
                f"scow {' '.join(arguments)} ended with {result.returncode}\n"
                f"{result.stdout}{result.stderr}\nThe engine's log:\n{self.read_log()}"
            )
        return result

    def client(self) -> Client:
        """Return a client of this engine; use it as a context manager."""
        return Client(self.host)

    def read_log(self, size: int = 8000) -> str:
        """Return the end of what scowd and the services logged."""
        try:
            return self.log.read_text(errors="replace")[-size:]
        except OSError:
            return ""

    def destroy(self) -> list[str]:
        """Remove everything; return what the engine itself failed to remove."""
        left: list[str] = []
        if self._scowd is not None:
            try:
                self.remove_containers()
            except Exception as error:  # the engine may be broken by the test's design
                left.append(f"containers: {error!r}\n{self.read_log()}")
            self.stop(signal.SIGTERM if self._scowd.poll() is None else signal.SIGKILL)
        for pid in {*processes.mentioning(str(self.base)), *processes.mentioning(str(self.run))}:
            if processes.name(pid) not in ("scow-spawner", "scow-waiting", ""):
                left.append(f"process {' '.join(processes.command_line(pid))}")
            processes.kill(pid)
        for pid in resident.servers(self.base):
            processes.kill(pid)
        left += remains(self.instance)
        subprocess.run(
            [sys.executable, "-m", "scow.network.teardown", "--instance", self.instance],
            check=True,
            capture_output=True,
        )
        remove_cgroups(self.instance)
        shutil.rmtree(self.base)
        shutil.rmtree(self.run, ignore_errors=True)
        return left

    def remove_containers(self) -> None:
        """Remove all containers with their anonymous volumes, and all networks of the user."""
        self.wait_healthy()
        with self.client() as client:
            for container in client.containers.list(all=True):
                with contextlib.suppress(LookupError):
                    client.containers.remove(container.id, force=True, volumes=True)
            client.networks.prune()


def remains(instance: str) -> list[str]:
    """Return what containers of an engine left on the host: links, cgroups, mounts."""
    links = [
        link
        for link in os.listdir("/sys/class/net")
        if link.startswith(instance) and link != f"{instance}0"
    ]
    mounts = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if instance in line
    ]
    cgroups = [str(path) for path in _cgroups(instance) if any(p.is_dir() for p in path.iterdir())]
    return links + mounts + cgroups


def _cgroups(instance: str) -> list[Path]:
    base = Path("/sys/fs/cgroup")
    return [path for path in (base / instance, *base.glob(f"*/{instance}")) if path.is_dir()]


def remove_cgroups(instance: str) -> None:
    """Remove an engine's cgroup parents and what is below them."""
    for top in _cgroups(instance):
        for path, _, _ in sorted(os.walk(top), reverse=True):
            deadline = time.monotonic() + 5
            while True:
                try:
                    os.rmdir(path)
                    break
                except OSError:  # its processes were just killed
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of an engine."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SCOW_")}


def _read_line(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Return the first line that a process prints, or what it printed until it ended."""
    assert process.stdout is not None
    data = b""
    deadline = time.monotonic() + seconds
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not chunk:
            break
        data += chunk
    return data.decode().rstrip("\n")


def as_root() -> Any:
    """Return a mark that skips a test, saying why, where it is not run by root."""
    import pytest

    return pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes real containers")
