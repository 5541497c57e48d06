"""Paths inside a container's root, resolved by the kernel with openat2(RESOLVE_IN_ROOT), never by string.

The root belongs to a stranger's image: any component may be a symbolic link to anywhere. RESOLVE_IN_ROOT makes
absolute links and ".." stay below the root and refuses magic links (/proc/self/root and the like).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from scow.kernel import syscalls

_MAX_LINKS = 40  # as many as the kernel follows
_Create = Callable[[int, str], None]


def open_in(root: int, path: str, flags: int = os.O_PATH) -> int:
    """Open what `path` names inside of `root`."""
    relative = path.lstrip("/") or "."
    try:
        return syscalls.openat2(root, relative, flags, resolve=syscalls.RESOLVE_IN_ROOT)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def make_dir(root: int, path: str, mode: int = 0o755) -> int:
    """Open a directory inside of `root`, made with its parents where it is missing."""
    return _make(root, path, lambda parent, name: os.mkdir(name, mode, dir_fd=parent), 0)


def make_plain_dir(root: int, path: str) -> int:
    """Open or make a directory whose path has no symbolic link.

    For proc and sysfs: an image with a link in that place could have them mounted elsewhere and show made-up files
    where programs of the engine expect the kernel's (CVE-2019-19921, CVE-2023-27561).
    """
    os.close(make_dir(root, path))
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
    return syscalls.openat2(root, path.lstrip("/"), os.O_PATH | os.O_DIRECTORY, resolve=resolve)


def make_file(root: int, path: str) -> int:
    """Open a file inside of `root`, made empty with its parents where it is missing."""

    def create(parent: int, name: str) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent))

    return _make(root, path, create, 0)


def _make(root: int, path: str, create: _Create, links: int) -> int:
    try:
        return open_in(root, path)
    except FileNotFoundError:
        pass
    if links > _MAX_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    parent_path, name = os.path.split(path.rstrip("/"))
    parent = _make(root, parent_path or "/", _mkdir, links)
    try:
        try:
            create(parent, name)
        except FileExistsError:
            return _follow(root, parent, name, parent_path, create, links)
        return _open_made(parent, name, path)
    finally:
        os.close(parent)


def _open_made(parent: int, name: str, path: str) -> int:
    """Open what was just made. In a volume that other containers have too it may be a link by now: none is followed."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    if stat.S_ISLNK(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return found


def _mkdir(parent: int, name: str) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)


def _follow(
    root: int, parent: int, name: str, parent_path: str, create: _Create, links: int
) -> int:
    """Make what a dangling symbolic link points to (/etc/resolv.conf -> ../run/...)."""
    if syscalls.fs_magic(parent) == syscalls.PROC_MAGIC:  # its links lead where their text does not
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.path.join(parent_path, name))
    try:
        target = os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        # No link: somebody else has just made it, or it is gone again.
        return _make(root, os.path.join(parent_path or "/", name), create, links + 1)
    if not target.startswith("/"):
        target = os.path.join(parent_path or "/", target)
    return _make(root, target, create, links + 1)


def is_dir(fd: int) -> bool:
    """Tell whether a descriptor is a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)
