"""What both versions of cgroups share: the interface, files, killing and removing.

A container has one directory in each hierarchy of the host: one on v2, many on v1. What must work without the
configuration, after the death of a shim, needs these directories alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from scow.contract.errors import (
    ContainerRunning,
    ContainerSetupFailed,
    InvalidConfig,
    KernelUnsupported,
    ScowError,
)
from scow.kernel import identity
from scow.shim.errors import from_os_error
from scow.shim.oci.config import DeviceRule, Resources
from scow.shim.rootfs import cgroup_mount

# Always allowed besides what the configuration says (OCI runtime specification, "Default Devices"): making nodes,
# the default devices, terminals.
DEFAULT_DEVICES = (
    DeviceRule(True, "c", None, None, "m"),
    DeviceRule(True, "b", None, None, "m"),
    *(DeviceRule(True, "c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
    *(DeviceRule(True, "c", 5, minor, "rwm") for minor in (0, 1, 2)),
    DeviceRule(True, "c", 136, None, "rwm"),
)

# Docker warns likewise, and fails as little.
NO_SWAP_LIMIT = "memory is limited without swap: the kernel does not account swap"

# Processes that are sent a signal together: each takes a descriptor meanwhile.
_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of a cgroup: bytes, nanoseconds, processes; a limit of 0 means unlimited.

    `memory_usage` leaves out the page cache that the kernel would give back first, as `docker stats` does.
    """

    memory_usage: int
    memory_limit: int
    cpu_usage: int
    pids: int
    pids_limit: int
    oom_kills: int


class Cgroup(ABC):
    """The cgroup of one container."""

    directories: tuple[str, ...]

    @abstractmethod
    def create(self, resources: Resources) -> list[str]:
        """Make the directories and set the limits; return warnings."""

    @abstractmethod
    def update(self, resources: Resources) -> list[str]:
        """Change limits; None leaves one as it is. Return warnings."""

    @abstractmethod
    def open_for_clone(self) -> int | None:
        """Open what CLONE_INTO_CGROUP takes; None where there is no v2 hierarchy."""

    @abstractmethod
    def enter(self) -> None:
        """Move this process in, as far as `open_for_clone` did not."""

    @abstractmethod
    def visible(self, namespaced: bool) -> cgroup_mount.Cgroups:
        """Describe what a container may see of it."""

    @abstractmethod
    def freeze(self) -> None:
        """Stop every process until `thaw`."""

    @abstractmethod
    def thaw(self) -> None:
        """Let the processes go on."""

    @abstractmethod
    def stats(self) -> Stats:
        """Read the counters."""

    @abstractmethod
    def frozen(self) -> bool:
        """Tell whether the processes are stopped, or about to be."""

    @abstractmethod
    def oom_file(self) -> str | None:
        """Return the file with the line that `oom_kills` reads; None where there is none."""

    @abstractmethod
    def oom_kills(self) -> int:
        """Return how many processes the kernel killed for want of memory."""


def require_free(directories: Iterable[str]) -> None:
    """Refuse cgroups with processes: they are of a container whose shim lives, or died and was not reaped yet.

    Raises:
        ContainerRunning.
    """
    for directory in directories:
        if any(pids(directory)):
            text = f"the cgroup {directory} has processes that this shim did not start"
            raise ContainerRunning(
                text,
                what="cgroup",
                which=directory,
                do="reap the state directory of the shim that died",
            )


def make(directory: str) -> None:
    """Make a cgroup; an empty one, left by a shim that was killed, will do."""
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"make the cgroup {directory}", which=directory) from error


def write(directory: str, name: str, value: object) -> None:
    """Write one file of a cgroup; a failure names file and value."""
    path = os.path.join(directory, name)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)
    except OSError as error:
        classes = {
            errno.EINVAL: InvalidConfig,
            errno.ENOENT: KernelUnsupported,
            errno.EOPNOTSUPP: KernelUnsupported,
        }
        raise classes.get(error.errno or 0, ContainerSetupFailed)(
            f"could not set {name} to {value}: {error.strerror}",
            what="cgroup",
            which=path,
            errno=errno.errorcode.get(error.errno or 0, ""),
        ) from error


def read(directory: str, name: str) -> str:
    """Read one file of a cgroup; empty where it does not exist."""
    try:
        with open(os.path.join(directory, name), encoding="ascii") as file:
            return file.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed meanwhile
            return ""
        raise


def number(directory: str, name: str) -> int:
    """Read a file with one number; "max" and a missing file are 0."""
    text = read(directory, name)
    return int(text) if text.lstrip("-").isdigit() else 0


def field(directory: str, name: str, key: str) -> int:
    """Read one number of a file with "key value" lines; 0 where there is none."""
    for line in read(directory, name).splitlines():
        found, _, value = line.partition(" ")
        if found == key:
            return int(value)
    return 0


def walk(directory: str) -> Iterator[str]:
    """Iterate over a cgroup and those that the container made below it, deepest first."""
    try:
        with os.scandir(directory) as scan:
            children = [entry.path for entry in scan if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for child in children:
        yield from walk(child)
    yield directory


def pids(directory: str) -> Iterator[int]:
    """Iterate over the processes of a cgroup and of those below it."""
    for path in walk(directory):
        for line in read(path, "cgroup.procs").splitlines():
            yield int(line)


def pids_in(directories: Iterable[str]) -> set[int]:
    """Return the processes of a container, seen in any of its hierarchies."""
    return {pid for directory in directories for pid in pids(directory)}


def kill_all(directories: Iterable[str]) -> bool:
    """Kill every process in the cgroups once; True when there was none.

    With cgroup.kill (Linux 5.14, v2) the kernel does it at once. On v1 the freezer first stops the
    processes, so that none forks away between reading and killing.
    """
    found = False
    for directory in directories:
        if os.path.exists(os.path.join(directory, "cgroup.kill")):
            try:
                write(directory, "cgroup.kill", 1)
            except ScowError:  # removed meanwhile
                continue
        found = _kill_in(directory) or found
    return not found


def signal_all(directories: Iterable[str], number: int) -> None:
    """Send a signal to every process in the cgroups once, also to one that is in several of them."""
    reached: set[int] = set()
    for directory in directories:
        reached |= _signal(directory, number, reached)


def _signal(directory: str, number: int, but: Collection[int] = ()) -> set[int]:
    """Send a signal to the processes of a cgroup and of those below it; return them.

    A process that ends leaves its PID to others, which may be the host's. So each is opened first, and is sent the
    signal if its PID is in the cgroup even then.
    """
    found = sorted(set(pids(directory)) - set(but))
    reached: set[int] = set()
    for start in range(0, len(found), _AT_ONCE):
        opened = {pid: identity.pidfd(pid) for pid in found[start : start + _AT_ONCE]}
        try:
            present = set(pids(directory))
            for pid, descriptor in opened.items():
                if descriptor is not None and pid in present:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(descriptor, number)
                    reached.add(pid)
        finally:
            for descriptor in opened.values():
                if descriptor is not None:
                    os.close(descriptor)
    return reached


def _kill_in(directory: str) -> bool:
    freezer = os.path.exists(os.path.join(directory, "freezer.state"))
    first = next(pids(directory), None)
    if first is None:
        return False
    if freezer:
        _try_write(directory, "freezer.state", "FROZEN")
    _signal(directory, signal.SIGKILL)
    if freezer:
        for path in walk(directory):
            _try_write(path, "freezer.state", "THAWED")
    return True


def _try_write(directory: str, name: str, value: str) -> None:
    """Write where the cgroup may just have been removed; killing is repeated anyway."""
    try:
        write(directory, name, value)
    except ScowError:
        return


def remove(directories: Iterable[str]) -> bool:
    """Remove the cgroups with those below them; False while one is busy (a dying process still in it)."""
    gone = True
    for directory in directories:
        for path in walk(directory):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    raise
                gone = False
    return gone


def end(directories: tuple[str, ...], seconds: float = 10.0) -> bool:
    """Kill and remove, as often as it takes; False when `seconds` did not suffice."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        if kill_all(directories) and remove(directories):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
