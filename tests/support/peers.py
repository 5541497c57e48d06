"""Other engines, to compare with: Docker and Podman from Debian, out of the way of the host's.

Each runs in a network namespace of its own (`Net`), so that its bridges and firewall rules are not the host's, with
data folders and a cgroup parent of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.support import processes
from tests.support.engine import remove_cgroups


class Net:
    """A network namespace with its loopback up, held by a process that sleeps."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity"]
        )
        processes.wait_for(
            lambda: processes.name(self._holder.pid) == "sleep", "a network namespace"
        )
        self.prefix = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]

    def close(self) -> None:
        """Let the namespace go."""
        self._holder.kill()
        self._holder.wait()


class Peer(Protocol):
    """What is asked of an engine that we compare with."""

    name: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that does `docker ARGUMENTS` with this engine."""

    def daemons(self) -> list[int]:
        """Return the processes that run when no container does."""

    def monitors(self) -> list[int]:
        """Return the processes that stand beside running containers."""


# Podman raises these by default, which needs CAP_SYS_RESOURCE.
_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


class _Tool:
    """What both have."""

    name = ""

    def __init__(
        self, net: Net, *, insecure: Sequence[str] = (), run_base: Path | None = None
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix=f"scow-{self.name}-"))
        # What is in /run where a machine has one engine.
        self.run = (run_base or self.base) / f"run-{self.name}"
        self.cgroup = f"tpeer{self.name}{secrets.token_hex(3)}"
        self._net = net
        self._insecure = insecure

    def command(self, *arguments: str) -> list[str]:
        """Return a command line."""
        raise NotImplementedError

    def cli(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command; return what it printed."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it and delete its data."""
        for folder in (self.base, self.run):
            unmount_below(folder)
        remove_cgroups(self.cgroup)
        for folder in (self.base, self.run):
            shutil.rmtree(folder, ignore_errors=True)


class Docker(_Tool):
    """dockerd with its own containerd."""

    name = "docker"

    def __init__(
        self, net: Net, *, insecure: Sequence[str] = (), run_base: Path | None = None
    ) -> None:
        super().__init__(net, insecure=insecure, run_base=run_base)
        self.socket = self.base / "docker.sock"
        flags = [f"--insecure-registry={registry}" for registry in insecure]
        with (self.base / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                [
                    *net.prefix,
                    "dockerd",
                    f"--host=unix://{self.socket}",
                    f"--data-root={self.base}/data",
                    f"--exec-root={self.run}",
                    f"--pidfile={self.base}/pid",
                    f"--cgroup-parent=/{self.cgroup}",
                    *flags,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "DOCKER_TMPDIR": str(self.base)},
            )
        processes.wait_for(self._answers, "dockerd", 60)

    def _answers(self) -> bool:
        assert self._daemon.poll() is None, (self.base / "log").read_text()[-2000:]
        return subprocess.run(self.command("version"), capture_output=True).returncode == 0

    def command(self, *arguments: str) -> list[str]:
        """Return a command line."""
        return ["docker", f"--host=unix://{self.socket}", *arguments]

    def daemons(self) -> list[int]:
        """Return dockerd and containerd."""
        return [self._daemon.pid, *processes.children(self._daemon.pid)]

    def monitors(self) -> list[int]:
        """Return containerd's shims."""
        found = processes.mentioning(str(self.run))
        return [pid for pid in found if processes.name(pid).startswith("containerd-shim")]

    def close(self) -> None:
        """Remove its containers and stop it."""
        with contextlib.suppress(AssertionError):
            listed = self.cli("ps", "-aq").split()
            if listed:
                self.cli("rm", "-f", *listed)
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(60)
        for pid in processes.mentioning(str(self.run)):
            processes.kill(pid)
        super().close()


class Podman(_Tool):
    """podman, which has no daemon."""

    name = "podman"

    def command(self, *arguments: str) -> list[str]:
        """Return a command line."""
        verb, *rest = arguments
        more: list[str] = []
        if verb in ("run", "create"):
            more = [f"--cgroup-parent=/{self.cgroup}", *_LIMITS]
        if verb in ("pull", "push") and self._insecure:
            more = ["--tls-verify=false"]
        return [
            *self._net.prefix,
            "podman",
            f"--root={self.base}/data",
            f"--runroot={self.run}",
            f"--tmpdir={self.base}/tmp",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            "--runtime=runc",  # crun refuses hybrid cgroups
            verb,
            *more,
            *rest,
        ]

    def daemons(self) -> list[int]:
        """Return nothing: there are none."""
        return []

    def monitors(self) -> list[int]:
        """Return the conmon processes."""
        found = processes.mentioning(str(self.base))
        return [pid for pid in found if processes.name(pid) == "conmon"]

    def close(self) -> None:
        """Remove its containers."""
        with contextlib.suppress(AssertionError):
            self.cli("rm", "--all", "--force", "--time=0")
        super().close()


def unmount_below(folder: Path) -> None:
    """Unmount what an engine left mounted below its folder."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        left = sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True)
        if not left:
            return
        for point in left:
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
