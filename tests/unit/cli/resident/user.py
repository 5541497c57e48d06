"""A user of the resident command server, without an engine.

A credential helper, which `scow logout` executes, tells what a command has from its parent, or keeps it waiting.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import processes, resident
from tests.support.engine import BIN

WAYS = ("resident", "alone")
TELL = f"""#!{sys.executable} -IS
import posix, json, sys, _signal
status = dict(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
try:
    folder = posix.getcwd()
except OSError as error:
    folder = str(error)
told = dict(
    environment={{k.decode(): v.decode() for k, v in posix.environ.items() if k != b"LC_CTYPE"}},
    status={{k: status[k] for k in ("Umask", "Uid", "Gid", "Groups", "SigIgn", "SigBlk", "CapEff", "NoNewPrivs")}},
    limits=open("/proc/self/limits").read(),
    oom=open("/proc/self/oom_score_adj").read(),
    nice=posix.getpriority(0, 0),
    cgroup=open("/proc/self/cgroup").read(),
    net=posix.readlink("/proc/self/ns/net"),
    folder=folder,
    ancestor=open(f"/proc/{{posix.getppid()}}/cmdline").read(),
)
fd = posix.open(posix.environ[b"TOLD"], posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC)
posix.write(fd, json.dumps(told).encode())
print("credentials not found in native keychain")
sys.exit(1)
"""
# What a helper answers that has no credentials.
NOTHING = "echo credentials not found in native keychain; exit 1\n"
WAIT = "#!/bin/sh\necho here > $TOLD; exec sleep 100\n"


@dataclass
class User:
    """A user with a runtime folder, a home and a credential helper."""

    base: Path
    runtime: Path
    env: dict[str, str]

    def use(self, helper: str) -> None:
        """Install a credential helper."""
        path = self.base / "bin" / "docker-credential-probe"
        path.write_text(helper)
        path.chmod(0o755)

    def command(self) -> list[str]:
        """A command that executes the helper."""
        return [str(BIN / "scow"), "logout", "registry.example"]

    @property
    def told(self) -> Path:
        """What the helper writes."""
        return self.base / "told"

    def served(self, way: str) -> dict[str, str]:
        """Return the environment for a way; a server is ready where it is the resident's."""
        if way == "alone":
            return {**self.env, "SCOW_RESIDENT": "0"}
        resident.start([str(BIN / "scow"), "--version"], self.env)
        return self.env

    def look(self, environment: dict[str, str], **how: object) -> dict[str, object]:
        """Return what the helper tells of a command that was started in some way."""
        done = subprocess.run(
            self.command(), env=environment, capture_output=True, check=False, **how
        )  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(self.told.read_text())
        self.told.unlink()
        return told


def children(user: User) -> set[int]:
    """Return the processes that servers have forked."""
    return {pid for server in resident.servers(user.runtime) for pid in processes.children(server)}


def running(user: User) -> int:
    """Wait for the process of a command that executes a helper; return its PID."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [pid for pid in children(user) if processes.children(pid)]
        return bool(found)

    processes.wait_for(look, "the command's process")
    return found[0]


def version(env: dict[str, str]) -> int:
    """Run a command that needs nothing; return its exit code."""
    return subprocess.run([BIN / "scow", "--version"], env=env, capture_output=True).returncode
