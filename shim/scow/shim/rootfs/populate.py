"""Filling an empty volume with what the image has at its destination.

Copies are made into `<volume>/.scow-populate`, which is renamed to `.scow-populate-ready` once complete; then its
entries are renamed one by one into the volume. Killed before the first rename, the next start begins
anew; killed after it, the next start moves the rest. The directory of the volume itself stays the same inode
throughout, because another container may have it mounted. A lock on it keeps concurrent starters apart.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from scow.kernel import syscalls

_COPYING = ".scow-populate"
_READY = ".scow-populate-ready"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Attributes of the file system or of the host's security policy, not of the file.
_SKIPPED_XATTRS = ("trusted.overlay.", "security.selinux", "system.nfs4")


def populate(source: int, destination: int) -> None:
    """Fill the directory `destination` with what the directory `source` holds, when it is empty.

    Both are descriptors (O_PATH is enough). Owner, mode, times, extended attributes, symbolic and hard links,
    and device nodes are kept.
    """
    volume = os.open(f"/proc/self/fd/{destination}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(volume, fcntl.LOCK_EX)
        entries = set(os.listdir(volume))
        if _READY not in entries:
            if entries - {_COPYING}:
                return
            if not _stage(source, volume):
                return
        _move(volume)
    finally:
        os.close(volume)


def _stage(source: int, volume: int) -> bool:
    """Copy everything into a directory beside its final place; tell whether there was anything."""
    image = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _discard(volume)
        _copy_metadata(image, volume)
        if not os.listdir(image):
            return False
        os.mkdir(_COPYING, 0o700, dir_fd=volume)
        staging = os.open(_COPYING, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=volume)
        try:
            _copy_tree(image, staging)
        finally:
            os.close(staging)
        os.rename(_COPYING, _READY, src_dir_fd=volume, dst_dir_fd=volume)
        os.fsync(volume)
        return True
    finally:
        os.close(image)


def _move(volume: int) -> None:
    """Bring staged entries to their place; can be repeated."""
    ready = os.open(_READY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=volume)
    try:
        for name in os.listdir(ready):
            os.rename(name, name, src_dir_fd=ready, dst_dir_fd=volume)
    finally:
        os.close(ready)
    os.rmdir(_READY, dir_fd=volume)


def _discard(volume: int) -> None:
    """Delete what a start that was killed has copied, of any depth: directories are emptied into the upper one."""
    try:
        staging = os.open(_COPYING, _FOLDER, dir_fd=volume)
    except FileNotFoundError:
        return
    try:
        while names := os.listdir(staging):
            for name in names:
                _flatten(staging, name)
    finally:
        os.close(staging)
    os.rmdir(_COPYING, dir_fd=volume)


def _flatten(staging: int, name: str) -> None:
    """Delete an entry; directories in it become entries of `staging`."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=staging, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=staging)
        return
    folder = os.open(name, _FOLDER, dir_fd=staging)
    try:
        for entry in os.listdir(folder):
            if stat.S_ISDIR(os.stat(entry, dir_fd=folder, follow_symlinks=False).st_mode):
                aside = os.urandom(16).hex()
                os.rename(entry, aside, src_dir_fd=folder, dst_dir_fd=staging)
            else:
                os.unlink(entry, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=staging)


def _copy_tree(image: int, staging: int) -> None:
    """Copy what is in a directory, however deep: each directory of it is opened by its path."""
    links: dict[tuple[int, int], str] = {}
    waiting, seen = ["."], []
    while waiting:
        path = waiting.pop()
        seen.append(path)
        with _both(image, staging, path) as (source, target):
            inner = _copy_entries(source, target, links, staging, path)
            waiting.extend(f"{path}/{name}" for name in inner)
    for path in reversed(seen[1:]):  # each after what is in it, which changes its times
        with _both(image, staging, path) as (source, target):
            _copy_metadata(source, target)


@contextlib.contextmanager
def _both(image: int, staging: int, path: str) -> Iterator[tuple[int, int]]:
    """Open a directory and its copy. Others may have the volume mounted: no link that they make is followed."""
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
    source = syscalls.openat2(image, path, _FOLDER, resolve=resolve)
    try:
        target = syscalls.openat2(staging, path, _FOLDER, resolve=resolve)
        try:
            yield source, target
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_entries(
    source: int, target: int, links: dict[tuple[int, int], str], top: int, path: str
) -> Iterator[str]:
    """Copy a directory's entries and give its directories; `links` maps seen inodes to their path below `top`."""
    for name in os.listdir(source):
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            yield name
            continue
        seen = links.get((info.st_dev, info.st_ino))
        if seen is not None:
            os.link(seen, name, src_dir_fd=top, dst_dir_fd=target, follow_symlinks=False)
            continue
        _copy_entry(source, target, name, info)
        if info.st_nlink > 1:
            links[info.st_dev, info.st_ino] = f"{path}/{name}"


def _copy_entry(source: int, target: int, name: str, info: os.stat_result) -> None:
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
        times = (info.st_atime_ns, info.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
    elif kind == stat.S_IFREG:
        _copy_file(source, target, name)
    else:  # device nodes, fifos and sockets
        os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str) -> None:
    read = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    write = os.open(name, flags, 0o600, dir_fd=target)
    try:
        while os.sendfile(write, read, None, 1 << 30):
            pass
        _copy_metadata(read, write)
    finally:
        os.close(read)
        os.close(write)


def _copy_metadata(source: int, target: int) -> None:
    """Copy owner, mode, extended attributes and times; the owner first, as chown clears setuid bits."""
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        if name.startswith(_SKIPPED_XATTRS):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
