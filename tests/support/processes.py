"""Looking at processes through /proc, and ending those that a test started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Factor on every time that is waited for: emulated machines set it.
PATIENCE = float(os.environ.get("SCOW_TEST_PATIENCE", "1"))
_NR_CLONE3 = 435  # on every architecture


def command_line(pid: int) -> list[str]:
    """Return a process' arguments; nothing for one that is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return raw.decode(errors="replace").rstrip("\0").split("\0")


def name(pid: int) -> str:
    """Return what ps(1) shows as the command; "" for one that is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    stat = _stat(pid)
    return bool(stat) and stat[0] not in "ZX"


def all_pids() -> Iterator[int]:
    """Iterate over the pids of this pid namespace."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield int(entry.name)


def parent(pid: int) -> int:
    """Return the pid of a process' parent; 0 for one that is gone."""
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def children(pid: int) -> list[int]:
    """Return the pids of a process' children."""
    return [other for other in all_pids() if (stat := _stat(other)) and int(stat[1]) == pid]


def mentioning(text: str) -> list[int]:
    """Return the living processes whose arguments mention a text, this one excepted."""
    return [
        pid
        for pid in all_pids()
        if pid != os.getpid() and alive(pid) and any(text in part for part in command_line(pid))
    ]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal and, for SIGKILL, wait until the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    if number == signal.SIGKILL:
        wait_for(lambda: not alive(pid), f"the end of process {pid}")


def fork_as(pid: int) -> int:
    """Fork a process that has this PID, which nobody may have, and that does nothing until it is killed."""
    ids = (ctypes.c_int * 1)(pid)
    words = (
        0,
        0,
        0,
        0,
        int(signal.SIGCHLD),
        0,
        0,
        0,
        ctypes.addressof(ids),
        1,
        0,
    )  # struct clone_args
    arguments = (ctypes.c_uint64 * len(words))(*words)
    made: int = ctypes.PyDLL(None, use_errno=True).syscall(
        _NR_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)
    )
    if made == 0:
        while True:
            signal.pause()
    assert made == pid, os.strerror(ctypes.get_errno())
    return pid


def pss_kib(pid: int) -> int:
    """Return the proportional set size of a process in KiB (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/smaps_rollup tells no Pss")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken; 0 for one that has ended (proc(5), stat)."""
    return sum(map(int, _stat(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: It did not within the time; names what was waited for.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain for {what}")
        time.sleep(0.02)
