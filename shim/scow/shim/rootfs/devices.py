"""The container's /dev: nodes, links, the console, and pseudo-terminals of its own devpts instance."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios

from scow.contract.errors import InvalidConfig, MountFailed
from scow.kernel import rootpath, syscalls
from scow.shim.errors import from_os_error
from scow.shim.oci.config import Device

# What every container has (OCI runtime specification, "Default Devices").
DEFAULT = (
    Device("/dev/null", "c", 1, 3, 0o666, 0, 0),
    Device("/dev/zero", "c", 1, 5, 0o666, 0, 0),
    Device("/dev/full", "c", 1, 7, 0o666, 0, 0),
    Device("/dev/random", "c", 1, 8, 0o666, 0, 0),
    Device("/dev/urandom", "c", 1, 9, 0o666, 0, 0),
    Device("/dev/tty", "c", 5, 0, 0o666, 0, 0),
)
_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_DEVPTS_MAGIC = 0x1CD1
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


def make_nodes(root: int, extra: tuple[Device, ...]) -> None:
    """Make the default devices, those of the configuration, and the usual links."""
    umask = os.umask(0)
    wanted = {device.path: device for device in (*DEFAULT, *extra)}
    for device in wanted.values():
        _make_node(root, device)
    for path, target in _LINKS:
        _link(root, path, target)
    _link(root, "/dev/ptmx", "pts/ptmx")
    os.umask(umask)


def _make_node(root: int, device: Device) -> None:
    kind = _KINDS.get(device.type)
    if kind is None or not device.path.startswith("/"):
        text = f"{device.path}: {device.type!r} is not a kind of device (c, b, u, p)"
        raise InvalidConfig(text, what="device", which=device.path)
    directory, name = os.path.split(device.path)
    try:
        parent = rootpath.make_dir(root, directory)
        try:
            number = os.makedev(device.major, device.minor)
            os.mknod(name, kind | device.mode, number, dir_fd=parent)
            if device.uid or device.gid:
                os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            _check_existing(parent, name, kind, device)
        finally:
            os.close(parent)
    except OSError as error:
        raise from_os_error(error, f"make the device {device.path}", which=device.path) from error


def _check_existing(parent: int, name: str, kind: int, device: Device) -> None:
    """Accept an existing node when it is the same device."""
    info = os.stat(name, dir_fd=parent, follow_symlinks=False)
    number = os.makedev(device.major, device.minor)
    if stat.S_IFMT(info.st_mode) != kind or (kind != stat.S_IFIFO and info.st_rdev != number):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), device.path)


def _link(root: int, path: str, target: str) -> None:
    directory, name = os.path.split(path)
    parent = rootpath.make_dir(root, directory)
    try:
        os.symlink(target, name, dir_fd=parent)
    except FileExistsError:
        pass
    finally:
        os.close(parent)


def open_master(dirfd: int | None, path: str) -> int:
    """Open a new pseudo-terminal of the container's devpts; `path` is "/dev/pts/ptmx" below the root `dirfd`.

    The path is the container's, so what opens is checked to be a master of a devpts before the shim reads from it.
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags) if dirfd is None else rootpath.open_in(dirfd, path, flags)
    except OSError as error:
        raise from_os_error(error, "open a terminal of the container", which=path) from error
    info = os.fstat(fd)
    if info.st_rdev != os.makedev(5, 2) or syscalls.fs_magic(fd) != _DEVPTS_MAGIC:
        os.close(fd)
        text = f"{path} in the container is not a devpts"
        raise MountFailed(text, what="terminal", which=path)
    return fd


def open_slave(master: int) -> int:
    """Open the other side of a master without any path (ioctl_tty(2), TIOCGPTPEER)."""
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    return fcntl.ioctl(master, _TIOCGPTPEER, flags)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the window size; sizes of 0 are left alone."""
    if rows and columns:
        size = struct.pack("HHHH", min(rows, 65535), min(columns, 65535), 0, 0)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def take_terminal(slave: int) -> None:
    """Make `slave` the controlling terminal and stdio of this process, which leads its session."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)


def bind_console(root: int, slave: int) -> None:
    """Show the terminal as /dev/console, as Docker does."""
    target = rootpath.make_file(root, "/dev/console")
    try:
        source = syscalls.open_tree(
            syscalls.AT_FDCWD, f"/proc/self/fd/{slave}", syscalls.OPEN_TREE_CLONE
        )
        syscalls.move_mount(source, target)
        os.close(source)
    finally:
        os.close(target)
