"""The last steps before execve(2), the same for a container's init and for exec sessions.

Order matters, and why:

1. Look up the user while files can still be read as root; give it its stdio.
2. Resource limits and the bounding set, while privileges are there.
3. Change user with the permitted capabilities kept (PR_SET_KEEPCAPS) and raise the effective ones again.
4. The parent-death signal, which a change of user had cleared.
5. Close every descriptor but the control socket, then enter the working directory: a directory of the host that
   leaked could otherwise be named as /proc/self/fd/N (CVE-2024-21626).
6. The seccomp filter. Loading one needs CAP_SYS_ADMIN or no_new_privs, hence before 7; after it, only capset,
   prctl and execve are called.
7. The capability sets, then execve.

The engine's own executable: until execve this process is the engine's Python. It is non-dumpable, so other
processes of the container cannot open its /proc/PID/exe, fd or mem. A container may name /proc/self/exe as
its program (CVE-2019-5736); the spawner runs from a read-only detached mount (see `sealed`), so what it gets
can never be opened for writing.
"""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from typing import NoReturn

from scow.contract.errors import CommandNotExecutable, CommandNotFound, KernelUnsupported, ScowError
from scow.kernel import imports, rootpath, syscalls
from scow.shim.confine import capabilities, rlimits, seccomp, users
from scow.shim.errors import from_os_error
from scow.shim.init import control
from scow.shim.oci.config import Process

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NULL_DEVICE = os.makedev(1, 3)


@dataclass(slots=True)
class Confinement:
    """What limits the process besides its user."""

    sets: capabilities.Sets
    available: int
    filter: seccomp.Filter | None
    # Where to write the AppArmor profile, opened while /proc was the host's; -1: none is wanted.
    apparmor_fd: int


def detach(stdio: tuple[int, int, int] | None, control_fd: int, keep: tuple[int, ...] = ()) -> None:
    """Make a fresh child its own session with only stdio, the control socket and `keep` open."""
    imports.end()
    os.setsid()
    syscalls.reset_signals()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    _place((*(stdio or ()),), control_fd)
    first = control.CHILD_FD + 1
    for fd in sorted(keep):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first)


def _place(stdio: tuple[int, ...], control_fd: int) -> None:
    """Move stdio to 0, 1, 2 and the control socket to 3.

    The shim keeps 0 to 3 open from its start (`shim.main`), so none of what is moved stands in the way.
    """
    for target, fd in enumerate(stdio):
        os.dup2(fd, target)
    os.dup2(control_fd, control.CHILD_FD, inheritable=False)


def set_oom_score(value: int | None) -> list[str]:
    """Write oom_score_adj; return a warning where the engine may not lower it."""
    if value is None:
        return []
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(value))
    except OSError as error:
        return [f"oom_score_adj stays as it is instead of {value}: {error.strerror}"]
    return []


def open_apparmor(profile: str) -> int:
    """Open where this process's AppArmor profile is set; call it while /proc is the host's.

    Raises:
        KernelUnsupported when the kernel has no AppArmor.
    """
    if not profile or profile == "unconfined":
        return -1
    for path in ("/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"):
        try:
            with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as file:
                if file.read(1) == "Y":
                    return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
    text = f"the AppArmor profile {profile} cannot be set: this kernel runs without AppArmor"
    raise KernelUnsupported(text, what="apparmor", which=profile)


def run(
    process: Process, confinement: Confinement, warnings: list[str], *, make_cwd: bool
) -> NoReturn:
    """Become the program. Called inside of the container's root; raises when it cannot.

    Args:
        process: What to execute.
        confinement: What it may do.
        warnings: So far; the shim is told them.
        make_cwd: Make a missing working directory, as root, as Docker does for a container but not for an exec.
    """
    identity = _identify(process)
    _own_stdio(identity.uid)
    _label(confinement.apparmor_fd, process.apparmor_profile)
    syscalls.close_range(control.CHILD_FD + 1)
    entered = _enter(process.cwd, create=make_cwd, again=True)
    if process.umask is not None:
        os.umask(process.umask)
    rlimits.apply(process.rlimits)
    capabilities.drop_bounding(confinement.sets)
    capabilities.change_ids(identity.uid, identity.gid, list(identity.groups))
    capabilities.raise_effective(confinement.available)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if not entered:
        _enter(process.cwd, create=False, again=False)
    _check_cwd(process.cwd)
    if process.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if warnings:
        control.send(control.CHILD_FD, {"warnings": warnings})
    control.send(control.CHILD_FD, {"exec": True})
    environment = _environment(process.env, identity.home)
    if confinement.filter is not None:
        confinement.filter.load()
    capabilities.apply(confinement.sets)
    execute(process.args, environment)


def _identify(process: Process) -> users.Identity:
    if process.user:
        found = users.resolve(process.user, process.groups)
    else:
        named = users.resolve(f"{process.uid}:{process.gid}", process.groups)
        found = users.Identity(process.uid, process.gid, named.groups, users.home_of(process.uid))
    groups = tuple(dict.fromkeys((*process.additional_gids, *found.groups)))
    return users.Identity(found.uid, found.gid, groups, found.home)


def _own_stdio(uid: int) -> None:
    """Give the user its stdio, so that it may open /dev/stdout anew."""
    for fd in (0, 1, 2):
        info = os.fstat(fd)
        if info.st_uid != uid and info.st_rdev != _NULL_DEVICE:
            try:
                os.fchown(fd, uid, -1)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
                    raise


def _enter(cwd: str, *, create: bool, again: bool) -> bool:
    """Change to the working directory; False when this user may not and another one tries `again`.

    No link by way of /proc is followed: in the host's pid namespace such a link of an image leads to the host's root.
    """
    opened = [os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        opened.append((rootpath.make_dir if create else rootpath.open_in)(opened[0], cwd))
        os.fchdir(opened[1])
    except PermissionError as error:
        if again:
            return False
        raise _bad_cwd(cwd, error) from error
    except OSError as error:
        raise _bad_cwd(cwd, error) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def _check_cwd(cwd: str) -> None:
    """Fail unless the working directory is below the container's root (getcwd(3): "(unreachable)")."""
    try:
        os.getcwd()
    except OSError as error:
        raise _bad_cwd(cwd, error) from error


def _bad_cwd(cwd: str, error: OSError) -> ScowError:
    text = f"cannot change to the working directory {cwd}: {error.strerror}"
    return CommandNotExecutable(text, what="cwd", which=cwd)


def _label(fd: int, profile: str) -> None:
    if fd < 0:
        return
    try:
        os.write(fd, f"exec {profile}".encode())
    except OSError as error:
        text = f"cannot set the AppArmor profile {profile}: {error.strerror}"
        raise KernelUnsupported(text, what="apparmor", which=profile) from error


def _environment(entries: tuple[str, ...], home: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in entries)
    environment = {key: value for key, equals, value in pairs if key and equals}
    environment.setdefault("HOME", home)
    return environment


def execute(args: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    """Execute `args`, looked up in PATH as execvp(3) does, and say precisely why it cannot be.

    Raises:
        CommandNotFound (127) or CommandNotExecutable (126).
    """
    name = args[0]
    if "/" in name:
        candidates = [name]
    else:
        path = environment.get("PATH", DEFAULT_PATH)
        candidates = [os.path.join(directory or ".", name) for directory in path.split(":")]
    refused: OSError | None = None
    for candidate in candidates:
        try:
            os.execve(candidate, args, environment)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.lexists(candidate):
                refused = error
        except OSError as error:
            refused = error
            if error.errno != errno.EACCES:
                break
    raise _not_executed(name, refused)


def _not_executed(name: str, error: OSError | None) -> ScowError:
    if error is None:
        text = f"the container has no command {name}"
        return CommandNotFound(text, what="command", which=name)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        text = f"the interpreter of {name} is missing in the container"
        return CommandNotFound(text, what="interpreter", which=name)
    if error.errno in (errno.E2BIG, errno.ENOMEM, errno.EAGAIN, errno.EMFILE):
        return from_os_error(error, f"execute {name}", what="command", which=name)
    text = f"{name} in the container cannot be executed: {error.strerror}"
    return CommandNotExecutable(text, what="command", which=name)
