"""The identity of a process: its PID together with its start time, since PIDs are used again."""

from __future__ import annotations

import errno
import os
import signal


def start_ticks(pid: int) -> int:
    """Return the start time of a process (proc(5) stat, field 22); 0 when there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def ticks_of(pid: int, descriptor: int) -> int:
    """Return the start time of the process of a pidfd; 0 when it is gone, whoever has its PID by then."""
    ticks = start_ticks(pid)
    try:
        signal.pidfd_send_signal(descriptor, 0)
    except ProcessLookupError:
        return 0
    return ticks


def alive(pid: int, ticks: int) -> bool:
    """Tell whether a process is there and is not a zombie."""
    fields = _stat(pid)
    return bool(fields) and int(fields[19]) == ticks and fields[0] not in (b"Z", b"X")


def kill(pid: int, ticks: int) -> None:
    """Kill a process, if it still is the one."""
    descriptor = open_pidfd(pid, ticks)
    if descriptor is None:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def pidfd(pid: int) -> int | None:
    """Open a pidfd of whoever has a PID; None when nobody has it."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # EINVAL: what kernels before 6.9 say of a process that is just being reaped.
        if error.errno not in (errno.ESRCH, errno.EINVAL):
            raise
        return None


def open_pidfd(pid: int, ticks: int) -> int | None:
    """Open a pidfd of a process; None when it is gone."""
    descriptor = pidfd(pid) if pid else None
    if descriptor is None:
        return None
    if start_ticks(pid) != ticks:
        os.close(descriptor)
        return None
    return descriptor


def _stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            raw = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The command's name, in parentheses, may hold spaces and parentheses itself.
    return raw[raw.rindex(b")") + 2 :].split()
