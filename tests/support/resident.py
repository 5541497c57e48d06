"""The resident command server of a test's own: a runtime folder, and the processes that serve in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support import processes

FOLDER = "scow-resident"
# How many processes of a server wait.
SPARES = 2


def servers(runtime: Path) -> list[int]:
    """Return the PIDs of the servers of a runtime folder (XDG_RUNTIME_DIR)."""
    folder = str(runtime / FOLDER)
    return [pid for pid in processes.all_pids() if _serves(pid, folder)]


def _serves(pid: int, folder: str) -> bool:
    if processes.name(pid) != "scow-resident":
        return False
    with contextlib.suppress(OSError):
        return any(os.readlink(entry) == folder for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _ready(runtime: Path) -> int:
    """Return the PID of the server, if it has processes waiting for commands, or 0."""
    found = servers(runtime)
    return found[0] if len(found) == 1 and len(processes.children(found[0])) >= SPARES else 0


def ready(runtime: Path) -> int:
    """Wait until a server has its processes waiting for commands; return its PID."""
    processes.wait_for(lambda: _ready(runtime), "the resident server")
    return servers(runtime)[0]


def start(command: list[str], environment: Mapping[str, str]) -> int:
    """Have commands start a server, until one does and is ready; return its PID."""
    runtime = Path(environment["XDG_RUNTIME_DIR"])

    def look() -> int:
        if not servers(runtime):
            subprocess.run(command, env=environment, capture_output=True, check=False)
        return _ready(runtime)

    processes.wait_for(look, "the resident server")
    return servers(runtime)[0]


@contextlib.contextmanager
def runtime_folder(base: Path) -> Iterator[Path]:
    """Give a runtime folder, and end the servers that were started in it."""
    runtime = base / "runtime"
    runtime.mkdir(mode=0o700)
    try:
        yield runtime
    finally:
        for pid in servers(runtime):
            processes.kill(pid)
