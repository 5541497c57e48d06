"""What a process has from its parent: compared where a forked process cannot take it on, and otherwise taken on.

A command that the server runs shall not differ from one that the caller's shell runs. A process can take on
descriptors, directory, environment, umask and what it does with signals. Rights, limits, priorities, namespaces and
cgroups it cannot, or not entirely: where they differ from the server's, the caller runs the command. Neither can it
join the caller's session; so commands that read a terminal are not run here either (see `spare`).
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

# Lines of /proc/PID/status (proc_pid_status(5)) that a process and its caller shall have in common.
_STATUS = frozenset(
    f"{name}:".encode()
    for name in (
        *("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
        *("NoNewPrivs", "Seccomp", "Seccomp_filters", "THP_enabled"),
        *("Cpus_allowed", "Mems_allowed"),
    )
)
_FILES = ("cgroup", "limits", "oom_score_adj", "loginuid", "sessionid", "attr/current")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
# Numbers of fields in /proc/PID/stat, from the one after the name on: nice, real time priority, policy.
_STAT = (16, 37, 38)
# Descriptors below it are left free for a caller's; the server's own are above.
RESERVED = 64


@dataclass(frozen=True)
class Inherited:
    """What a process has from its parent.

    Attributes:
        fixed: What must be the same in the process that runs its command.
        umask: As umask(2) takes it.
        ignored: Signals that it ignores.
        blocked: Signals that it blocks.
    """

    fixed: tuple[bytes, ...]
    umask: int
    ignored: frozenset[int]
    blocked: frozenset[int]


def inherited(process: int | str) -> Inherited:
    """Return what a process has from its parent.

    Args:
        process: PID, or "self".

    Raises:
        OSError: It has ended, or this process may not look.
    """
    folder = os.open(f"/proc/{process}", os.O_PATH | os.O_DIRECTORY)
    try:
        lines = dict(line.split(b"\t", 1) for line in _read(folder, "status").splitlines())
        stat = _read(folder, "stat").rpartition(b")")[2].split()
        root = os.stat("root", dir_fd=folder)
        fixed = [lines.get(name, b"") for name in sorted(_STATUS)]
        fixed += [_read(folder, name) for name in _FILES]
        fixed += [_link(folder, f"ns/{name}") for name in _NAMESPACES]
        fixed += [stat[number] for number in _STAT]
        fixed.append(b"%d %d" % (root.st_dev, root.st_ino))
    finally:
        os.close(folder)
    return Inherited(
        tuple(fixed),
        int(lines[b"Umask:"], 8),
        _signals(lines[b"SigIgn:"]),
        _signals(lines[b"SigBlk:"]),
    )


def _read(folder: int, name: str) -> bytes:
    """Return what a file has; the kernel may be built without it."""
    try:
        descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    except FileNotFoundError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # attr/current without a security module
        return b""
    finally:
        os.close(descriptor)


def _link(folder: int, name: str) -> bytes:
    try:
        return os.readlink(name.encode(), dir_fd=folder)
    except FileNotFoundError:
        return b""


def _signals(mask: bytes) -> frozenset[int]:
    bits = int(mask, 16)
    return frozenset(number for number in range(1, 65) if bits >> (number - 1) & 1)


def reserve_descriptors() -> None:
    """Occupy the descriptors that callers' are going to have."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3, RESERVED):
        if number != null:
            os.dup2(null, number)


def take_descriptors(received: Sequence[int], wanted: Sequence[int]) -> bool:
    """Give received descriptors the numbers that they have in the caller; close the reserved ones.

    Returns:
        False, and nothing was changed, where a number is taken by something of this process.
    """
    ours = set(range(RESERVED))
    if any(number not in ours and _is_open(number) for number in wanted):
        return False
    for descriptor, number in zip(received, wanted, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number in ours.difference(wanted):
        os.close(number)
    return True


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def take_environment(entries: Sequence[bytes]) -> None:
    """Replace the environment by another."""
    wanted = dict(entry.split(b"=", 1) for entry in entries)
    for key in set(os.environb) - set(wanted):
        del os.environb[key]
    os.environb.update(wanted)
    time.tzset()


def take_signals(caller: Inherited) -> None:
    """Ignore and block what the caller does; the others have the interpreter's own dispositions."""
    by_interpreter = (signal.SIGPIPE, signal.SIGXFSZ)  # ignored in every interpreter
    for number in caller.ignored:
        if number not in by_interpreter:
            with contextlib.suppress(
                OSError, ValueError
            ):  # those that the C library keeps for itself
                signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, caller.blocked)


def take_streams() -> None:
    """Make sys.stdin, stdout and stderr anew, for the descriptors that are there now."""
    sys.stdin = sys.__stdin__ = _stream(0, sys.stdin)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, sys.stderr)  # type: ignore[misc]


def _stream(descriptor: int, before: TextIO) -> io.TextIOWrapper:
    """Make a stream as the interpreter makes it at its start (create_stdio in its pylifecycle.c)."""
    assert isinstance(before, io.TextIOWrapper)
    raw = io.FileIO(descriptor, "w" if descriptor else "r", closefd=False)
    buffer: io.RawIOBase | io.BufferedIOBase
    if not descriptor:
        buffer = io.BufferedReader(raw)
    elif before.write_through:  # PYTHONUNBUFFERED
        buffer = raw
    else:
        buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        before.encoding,
        before.errors,
        newline="\n" if descriptor else None,
        line_buffering=descriptor == 2 or (not before.write_through and os.isatty(descriptor)),
        write_through=before.write_through,
    )


def end_with(lifeline: int) -> bool:
    """Have the kernel kill this process when the other end of a pipe is closed; False where it is already.

    The signal of fcntl(2), F_SETSIG, for a pipe whose last writer is gone.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(
        lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK
    )
    try:
        return os.read(lifeline, 1) != b""
    except BlockingIOError:
        return True
