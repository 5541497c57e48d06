"""The resident command server of a test's own: a runtime folder, and the processes that serve in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support import processes

FOLDER = "scow-resident"


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


def ready(runtime: Path, count: int = 2) -> int:
    """Wait until a server has that many processes waiting for commands; return its PID."""
    found: list[int] = []

    def look() -> bool:
        found[:] = servers(runtime)
        return len(found) == 1 and len(processes.children(found[0])) >= count

    processes.wait_for(look, "the resident server")
    return found[0]


def start(command: list[str], environment: Mapping[str, str]) -> int:
    """Have a command start a server; return its PID."""
    subprocess.run(command, env=environment, capture_output=True, check=False)
    return ready(Path(environment["XDG_RUNTIME_DIR"]))


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
