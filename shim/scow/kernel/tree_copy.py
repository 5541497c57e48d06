"""Copying a directory tree: owner, mode, times, extended attributes, links, device nodes and holes are kept.

Of any depth and width: one directory of each side is open at a time, and going up again is `..`. Names are opened from
their directory's descriptor and never through a symbolic link, in the source as in the copy.

The tree may be in use: what vanishes while it is copied is left out. Data are shared with the copy where the file
system can (btrfs, xfs), so that they take no room until one of the two is changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from scow.kernel import trees

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The folder that a copy needs meanwhile.
LINKS = "links"
_PIECE = 1 << 30  # sendfile(2) moves at most 2 GiB at once
_FICLONE = 0x40049409  # ioctl_ficlone(2)
# What a file system, or a pair of two, says that cannot share data.
_NO_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)
_STAT_BLOCK = 512  # st_blocks counts in these (stat(2))
# Attributes of the file system or of the host's security policy, not of the file.
_SKIPPED_XATTRS = ("trusted.overlay.", "user.overlay.", "security.selinux", "system.nfs4")


@dataclass(slots=True)
class Copied:
    """What a copy has.

    Attributes:
        size: Bytes of its files without holes, whether they are shared or not; hard links count once.
        entries: Names below its root.
        shared: All data are shared with the source.
    """

    size: int = 0
    entries: int = 0
    shared: bool = True


def copy_tree(
    source: int, target: int, scratch: int, go_on: Callable[[], None] = lambda: None
) -> Copied:
    """Copy what a directory holds, and its own owner, mode, times and attributes.

    The copy must be made where nobody else writes: it is filled before its modes protect it.

    Args:
        source: Descriptor of the directory (not O_PATH).
        target: Descriptor of an empty directory.
        scratch: Descriptor of a directory of the target's file system, for a folder `links` that is there meanwhile.
        go_on: Called at each directory; it raises what shall end the copying.

    Raises:
        OSError: Something cannot be read or written; ESTALE when a directory of the source was moved meanwhile.
    """
    os.mkdir(LINKS, 0o700, dir_fd=scratch)
    links = os.open(LINKS, _FOLDER, dir_fd=scratch)
    entries = _Entries(links)
    try:
        _walk(source, target, entries, go_on)
    finally:
        os.close(links)
        trees.remove_tree(LINKS, dir_fd=scratch)
    return entries.copied


def _walk(source: int, target: int, entries: _Entries, go_on: Callable[[], None]) -> None:
    read = write = -1
    try:
        read = os.open(".", _FOLDER, dir_fd=source)
        write = os.open(".", _FOLDER, dir_fd=target)
        # For each level the directories that are still to be gone into, and who it is.
        waiting = [entries.copy(read, write)]
        identities = [_identity(read)]
        while True:
            go_on()
            if waiting[-1]:
                name = waiting[-1].pop()
                try:
                    inner = os.open(name, _FOLDER, dir_fd=read)
                except FileNotFoundError:
                    os.rmdir(name, dir_fd=write)
                    continue
                os.close(read)
                read = inner
                write = _move(write, name)
                waiting.append(entries.copy(read, write))
                identities.append(_identity(read))
                continue
            # After what is in it, which changes its times.
            copy_metadata(read, write)
            waiting.pop()
            identities.pop()
            if not waiting:
                return
            read = _move(read, "..")
            write = _move(write, "..")
            if _identity(read) != identities[-1]:
                raise OSError(errno.ESTALE, "a directory was moved while it was copied")
    finally:
        for directory in (read, write):
            if directory >= 0:
                os.close(directory)


def _move(directory: int, name: str) -> int:
    """Open another directory in place of this one, which stays open when that cannot be done."""
    found = os.open(name, _FOLDER, dir_fd=directory)
    os.close(directory)
    return found


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino


class _Entries:
    """Copies the entries of directories.

    Args:
        links: A directory where each file with several names has one more, a number, until the last is copied: a
            path of its first name could be too long, or lead elsewhere by then.
    """

    def __init__(self, links: int) -> None:
        self._links = links
        self._count = 0
        self.copied = Copied()
        self._shares = True
        # Device and inode: (name in `links`, names that are still to come).
        self._known: dict[tuple[int, int], tuple[str, int]] = {}

    def copy(self, source: int, target: int) -> list[str]:
        """Copy all but what is in directories, which are made and returned."""
        folders = []
        for name in os.listdir(source):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=source, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(name, 0o700, dir_fd=target)
                    folders.append(name)
                elif status.st_nlink < 2 or not self._link(target, name, status):
                    self._copy_entry(source, target, name, status)
                    if status.st_nlink > 1:
                        self._remember(target, name, status)
                self.copied.entries += 1
        return folders

    def _link(self, target: int, name: str, status: os.stat_result) -> bool:
        """Make a further name of a file that was copied; tell whether it was."""
        key = (status.st_dev, status.st_ino)
        if key not in self._known:
            return False
        kept, left = self._known[key]
        os.link(kept, name, src_dir_fd=self._links, dst_dir_fd=target, follow_symlinks=False)
        self._known[key] = (kept, left - 1)
        if left == 1:
            del self._known[key]
            os.unlink(kept, dir_fd=self._links)
        return True

    def _remember(self, target: int, name: str, status: os.stat_result) -> None:
        kept = str(self._count)
        self._count += 1
        os.link(name, kept, src_dir_fd=target, dst_dir_fd=self._links, follow_symlinks=False)
        self._known[status.st_dev, status.st_ino] = (kept, status.st_nlink - 1)

    def _copy_entry(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._copy_file(source, target, name)
            return
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:  # device nodes, fifos and sockets
            os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        if kind != stat.S_IFLNK:
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _copy_file(self, source: int, target: int, name: str) -> None:
        read = os.open(name, _READ, dir_fd=source)
        try:
            status = os.fstat(read)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.ESTALE, "a file became something else while it was copied")
            write = os.open(name, _WRITE, 0o600, dir_fd=target)
            try:
                self._copy_data(read, write, status)
                copy_metadata(read, write)
            finally:
                os.close(write)
        finally:
            os.close(read)

    def _copy_data(self, read: int, write: int, status: os.stat_result) -> None:
        self.copied.size += min(status.st_size, status.st_blocks * _STAT_BLOCK)
        if self._shares and status.st_size:
            try:
                fcntl.ioctl(write, _FICLONE, read)
            except OSError as error:
                if error.errno not in _NO_CLONE:
                    raise
                self.copied.shared = False
                # Others than files that are not to be shared (btrfs: nodatacow) tell of all the rest.
                self._shares = error.errno == errno.EINVAL
            else:
                return
        _copy_data(read, write, status)


def _copy_data(read: int, write: int, status: os.stat_result) -> None:
    size = status.st_size
    if status.st_blocks * _STAT_BLOCK >= size:
        _send(read, write, 0, size)
        return
    offset = 0
    while offset < size:
        try:
            start = os.lseek(read, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is a hole up to the end
                raise
            break
        offset = os.lseek(read, start, os.SEEK_HOLE)
        _send(read, write, start, min(offset, size))
    os.ftruncate(write, size)


def _send(read: int, write: int, start: int, end: int) -> None:
    os.lseek(write, start, os.SEEK_SET)
    while start < end:
        sent = os.sendfile(write, read, start, min(end - start, _PIECE))
        if not sent:  # it became shorter
            return
        start += sent


def copy_metadata(source: int, target: int) -> None:
    """Copy owner, mode, extended attributes and times; the owner first, as chown clears setuid bits."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if name.startswith(_SKIPPED_XATTRS):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA):
                raise
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
