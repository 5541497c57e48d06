"""User namespaces: made beside the init, which enters its own last (user_namespaces(7)).

The init mounts and pivots with the engine's privileges, in the host's user namespace, and enters the container's just
before it becomes the program. But what the container is to have power over must have been made inside of its user
namespace: mount, network, ipc and uts namespaces are made by a child that is born there and does nothing else. The
cgroup namespace is made anew on entering. The pid namespace is the host's user namespace's: the init has to be its
first process and to be privileged at first.

Files keep their ids on the disk. Layers and volumes are mounted with ids mapped (MOUNT_ATTR_IDMAP), so that what is
root's on the disk is the container's root's; what the init makes itself belongs to that root by its file system ids.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
from collections.abc import Iterable, Iterator

from scow.contract.errors import InvalidConfig, KernelUnsupported
from scow.kernel import syscalls
from scow.shim.confine import capabilities, rlimits
from scow.shim.oci.config import IdMap, Spec

# Made by the child. Flag: file in /proc/PID/ns.
_BORN = {
    syscalls.CLONE_NEWNS: "mnt",
    syscalls.CLONE_NEWNET: "net",
    syscalls.CLONE_NEWIPC: "ipc",
    syscalls.CLONE_NEWUTS: "uts",
}
# Namespaces are made, mapped and opened in a millisecond; the child that was born in them ends by then at the latest.
_SECONDS = 30


def root_of(spec: Spec) -> tuple[int, int] | None:
    """Return the host's ids of a container's root; None without a user namespace of its own.

    Raises:
        InvalidConfig: The namespace has no root.
    """
    if "user" not in spec.namespaces:
        return None
    return _root(spec.uids), _root(spec.gids)


def _root(maps: Iterable[IdMap]) -> int:
    for each in maps:
        if each.container == 0 and each.size > 0:
            return each.host
    text = "config.json: linux.uidMappings and linux.gidMappings must map the id 0"
    raise InvalidConfig(text, what="namespace", which="user")


def make(spec: Spec, flags: int, joined: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Make a user namespace and others in it.

    Args:
        spec: Has the ids.
        flags: Other namespaces that are wanted.
        joined: Descriptor of a user namespace that is there already; -1: a new one.

    Returns:
        descriptor of the user namespace; descriptors and flags of the others that were made.

    Raises:
        KernelUnsupported: The kernel makes none.
    """
    born = sum(flag for flag in _BORN if flags & flag)
    return _joined(joined, born) if joined >= 0 else _new(spec, born)


def _new(spec: Spec, born: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    try:
        pid = syscalls.clone_sleeping(syscalls.CLONE_NEWUSER | born, _SECONDS)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EPERM, errno.EINVAL):
            raise
        raise KernelUnsupported(
            f"this host makes no user namespaces: {error.strerror}",
            what="namespace",
            which="user",
            do="see user.max_user_namespaces, or use --userns host",
        ) from error
    try:
        _write_maps(pid, spec)
        return _opened(pid, -1, born)
    finally:
        os.kill(pid, signal.SIGKILL)  # nobody has waited for it: the PID is its own
        os.waitpid(pid, 0)


def _joined(namespace: int, born: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Make namespaces in a user namespace that is there: by a child that enters it."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    ready, made = os.pipe2(os.O_CLOEXEC)
    try:
        pid, pidfd = syscalls.fork_into()
        if pid == 0:
            _wait(told, tell, made, namespace, born)
        try:
            os.close(made)
            made = -1
            if not os.read(ready, 1):
                text = "the namespaces of the other container cannot be joined"
                raise KernelUnsupported(text, what="namespace", which="user")
            return _opened(pid, namespace, born)
        finally:
            os.close(tell)
            tell = -1
            os.waitpid(pid, 0)
            os.close(pidfd)
    finally:
        for descriptor in (told, tell, ready, made):
            if descriptor >= 0:
                os.close(descriptor)


def _wait(told: int, tell: int, made: int, namespace: int, born: int) -> None:
    """Run in the child: exist until the other side of the pipe is closed, also by a death; never returns."""
    try:
        os.close(tell)
        syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
        syscalls.unshare(born)
        os.write(made, b"1")
        os.close(made)
        os.read(told, 1)
    finally:
        os._exit(0)


def _write_maps(pid: int, spec: Spec) -> None:
    for name, maps in (("uid_map", spec.uids), ("gid_map", spec.gids)):
        lines = "".join(f"{each.container} {each.host} {each.size}\n" for each in maps)
        try:
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write(lines)
        except OSError as error:
            text = f"the ids {lines.strip()!r} cannot be mapped: {error.strerror}"
            raise InvalidConfig(text, what="namespace", which="user") from error


def _opened(pid: int, joined: int, born: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    def opened(name: str) -> int:
        return os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)

    others = tuple((opened(name), flag) for flag, name in _BORN.items() if born & flag)
    return (joined if joined >= 0 else opened("user")), others


def act_as_root(spec: Spec) -> None:
    """Let what this process makes in files belong to the container's root from here on."""
    root = root_of(spec)
    if root is not None:
        _act_as(*root)


def _act_as(uid: int, gid: int) -> None:
    effective, permitted = syscalls.capget()
    syscalls.set_fs_ids(uid, gid)
    syscalls.capset(effective, permitted, 0)


@contextlib.contextmanager
def as_host() -> Iterator[None]:
    """Meanwhile, let what this process makes belong to the host's root again."""
    ids = syscalls.fs_ids()
    if ids != (0, 0):
        _act_as(0, 0)
    try:
        yield
    finally:
        if ids != (0, 0):
            _act_as(*ids)


def enter(descriptor: int, spec: Spec, *, fresh: bool) -> int:
    """Enter the container's user namespace as its root; return the capabilities there.

    Stdio is handed over before, and the limits are set, which only the host's privileges can.

    Args:
        descriptor: Of the namespace, or a pidfd of who is in it.
        spec: The container's.
        fresh: This is the init.
    """
    root = root_of(spec)
    if root is None:
        return capabilities.held()
    rlimits.apply(spec.process.rlimits)
    for fd in (0, 1, 2):
        with contextlib.suppress(PermissionError):
            # Nothing but pipes: /dev/null is the host's.
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.fchown(fd, *root)
    syscalls.setns(descriptor, syscalls.CLONE_NEWUSER)
    os.setgroups(())
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if "cgroup" in spec.namespaces and not spec.namespaces["cgroup"].path and fresh:
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    syscalls.join_session_keyring()
    return capabilities.held()
