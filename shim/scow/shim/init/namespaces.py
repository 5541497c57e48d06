"""Namespaces of a container: which to make, which to join, and forking into them (namespaces(7))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from scow.contract.errors import ContainerNotRunning, InvalidConfig, NamespaceUnsupported
from scow.kernel import syscalls
from scow.shim.init import user_namespace
from scow.shim.oci.config import Namespace, Spec

# OCI name: (flag of clone(2), file in /proc/PID/ns).
KINDS = {
    "pid": (syscalls.CLONE_NEWPID, "pid"),
    "network": (syscalls.CLONE_NEWNET, "net"),
    "mount": (syscalls.CLONE_NEWNS, "mnt"),
    "ipc": (syscalls.CLONE_NEWIPC, "ipc"),
    "uts": (syscalls.CLONE_NEWUTS, "uts"),
    "cgroup": (syscalls.CLONE_NEWCGROUP, "cgroup"),
    "user": (syscalls.CLONE_NEWUSER, "user"),
    "time": (syscalls.CLONE_NEWTIME, "time"),
}
_CLOCKS = ("monotonic", "boottime")
_AHEAD = ("network", "ipc", "uts")


class Prepared:
    """Namespaces of this process that were made before there was a container to have them.

    A network namespace is what takes longest of all that a start asks of the kernel. The init inherits them; those that
    its container does not want this process leaves again.
    """

    def __init__(self) -> None:
        self._before: dict[int, int] = {}
        for flag, file in (KINDS[kind] for kind in _AHEAD):
            self._before[flag] = os.open(f"/proc/self/ns/{file}", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.unshare(sum(self._before))

    def leave_all_but(self, wanted: int) -> int:
        """Leave those that are not wanted (CLONE_NEW...); return which of the wanted are there."""
        for flag in [flag for flag in self._before if not flag & wanted]:
            self._leave(flag)
        return sum(self._before)

    def leave(self) -> None:
        """Leave all: the init has them by now, and what is executed from here on is to see the host's."""
        for flag in list(self._before):
            self._leave(flag)

    def _leave(self, flag: int) -> None:
        before = self._before.pop(flag)
        try:
            syscalls.setns(before, flag)
        finally:
            os.close(before)


@dataclass(slots=True)
class Plan:
    """What becomes of each kind of namespace.

    `unshare` holds the flags of new ones except pid; `pid` is "new", "host" or "join"; `join` holds descriptors of
    those with a path, except pid, whose descriptor is `pid_fd`, and user, whose descriptor is `user_fd` if it is new
    too.
    """

    unshare: int
    pid: str
    pid_fd: int
    join: tuple[tuple[int, int], ...]
    user_fd: int = -1

    def close(self) -> None:
        """Close the descriptors of joined namespaces."""
        for fd, _ in self.join:
            os.close(fd)
        for fd in (self.pid_fd, self.user_fd):
            if fd >= 0:
                os.close(fd)

    def add_user(self, spec: Spec) -> None:
        """Make the user namespace of a container that has one, and those that must be made in it."""
        if "user" in spec.namespaces:
            self.user_fd, made = user_namespace.make(spec, self.unshare, self.user_fd)
            self.join += made
            for _, flag in made:
                self.unshare &= ~flag


def plan(wanted: Mapping[str, Namespace]) -> Plan:
    """Decide and open what is to be joined.

    Raises:
        NamespaceUnsupported; ContainerNotFound for a path that is
            gone; InvalidArgument without a mount namespace.
    """
    for kind in wanted:
        if kind not in KINDS or (kind == "time" and wanted[kind].path):
            text = f"containers with a {kind} namespace are not supported"
            raise NamespaceUnsupported(text, what="namespace", which=kind)
    if "mount" not in wanted or wanted["mount"].path:
        text = "config.json: linux.namespaces must have a mount namespace without a path"
        raise InvalidConfig(text, what="namespace", which="mount")
    made = Plan(0, "host", -1, ())
    for kind, entry in wanted.items():
        flag = KINDS[kind][0]
        if kind == "pid":
            made.pid = "join" if entry.path else "new"
            made.pid_fd = _open(entry) if entry.path else -1
        elif kind == "user":
            made.user_fd = _open(entry) if entry.path else -1
        elif kind == "time":
            continue  # `offset_clocks` makes it
        elif entry.path:
            made.join = (*made.join, (_open(entry), flag))
        else:
            made.unshare |= flag
    return made


def _open(entry: Namespace) -> int:
    try:
        return os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        text = f"cannot join the {entry.type} namespace {entry.path}: {error.strerror}"
        raise ContainerNotRunning(text, what="namespace", which=entry.path) from error


def offset_clocks(spec: Spec) -> None:
    """Make the time namespace of a container that has one: children of this process are born in it.

    Source: time_namespaces(7).

    Raises:
        InvalidConfig: Another clock, or one that would show a time before the boot.
    """
    if "time" not in spec.namespaces:
        return
    syscalls.unshare(syscalls.CLONE_NEWTIME)
    for clock, offset in spec.time_offsets.items():
        if clock not in _CLOCKS:
            text = f"config.json: linux.timeOffsets has the clock {clock!r}"
            raise InvalidConfig(text, what="namespace", which="time")
        seconds, nanoseconds = divmod(offset, 10**9)
        try:
            with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
                file.write(f"{clock} {seconds} {nanoseconds}\n")
        except OSError as error:
            text = f"the clock {clock} cannot be {seconds} seconds off: {error.strerror}"
            raise InvalidConfig(text, what="namespace", which="time") from error


def fork(made: Plan, cgroup_fd: int | None) -> tuple[int, int]:
    """Fork the init: as process 1 of a new pid namespace, in a joined one, or in the host's; return PID and pidfd.

    It is a sibling of this process: a child of the keeper.
    """
    if made.pid == "new":
        return syscalls.fork_into(syscalls.CLONE_NEWPID | syscalls.CLONE_PARENT, cgroup_fd)
    if made.pid == "join":
        return fork_joining(made.pid_fd, cgroup_fd)
    return syscalls.fork_into(syscalls.CLONE_PARENT, cgroup_fd)


def fork_joining(pid_namespace: int, cgroup_fd: int | None) -> tuple[int, int]:
    """Fork a sibling that is in another pid namespace; `pid_namespace` is its descriptor or a pidfd.

    setns(2) changes only where children are born, so the caller sets it, forks, and sets it back.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(pid_namespace, syscalls.CLONE_NEWPID)
        pid = -1
        try:
            pid, pidfd = syscalls.fork_into(syscalls.CLONE_PARENT, cgroup_fd)
        finally:
            if pid != 0:
                syscalls.setns(own, syscalls.CLONE_NEWPID)
        return pid, pidfd
    finally:
        os.close(own)
