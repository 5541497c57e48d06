"""Project quotas: limits on what a directory tree takes of its file system (ext4, xfs).

A file belongs to a project, a number; new files belong to that of their directory. Sources: ioctl_fsgetxattr(2),
quotactl(2), Linux's fs/quota/quota.c.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from dataclasses import dataclass

from scow.kernel import syscalls

_GET, _SET = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
_ATTRIBUTES = struct.Struct("=IIIII8s")  # struct fsxattr
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
_PROJECT = 2  # PRJQUOTA
_GET_LIMITS, _SET_LIMITS, _GET_STATE = (
    0x800007,
    0x800008,
    0x5808,
)  # Q_GETQUOTA, Q_SETQUOTA, Q_XGETQSTATV
_LIMITS = struct.Struct("=QQQQQQQQII")  # struct if_dqblk
_BLOCK = 1024  # QIF_DQBLKSIZE
_VALID = 5  # QIF_LIMITS
_STATE_SIZE = 256  # struct fs_quota_statv is smaller
_ENFORCED = 1 << 5  # FS_QUOTA_PDQ_ENFD
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Walks over a tree in which directories are moved meanwhile.
_WALKS = 8
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Usage:
    """Limits of a project, and what it takes; 0 means no limit.

    Attributes:
        size_limit: Bytes.
        inode_limit: Files, directories and all else.
        size: Bytes.
        inodes: How many.
    """

    size_limit: int
    inode_limit: int
    size: int
    inodes: int


def enforced(fd: int) -> bool:
    """Tell whether the file system of `fd` enforces limits of projects."""
    state = bytearray(_STATE_SIZE)
    state[0] = 1  # FS_QSTATV_VERSION1
    try:
        syscalls.quotactl_fd(fd, _command(_GET_STATE), 0, state)
    except OSError:
        return False
    flags: int = struct.unpack_from("=H", state, 2)[0]
    return bool(flags & _ENFORCED)


def usage(fd: int, project: int) -> Usage:
    """Return the limits of a project, and what it takes."""
    found = bytearray(_LIMITS.size)
    try:
        syscalls.quotactl_fd(fd, _command(_GET_LIMITS), project, found)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):  # xfs: nobody has used it yet
            raise
        return Usage(0, 0, 0, 0)
    blocks, _, size, inode_limit, _, inodes, *_ = _LIMITS.unpack(found)
    return Usage(blocks * _BLOCK, inode_limit, size, inodes)


def set_limits(fd: int, project: int, size: int, inodes: int) -> None:
    """Set the limits of a project: bytes, rounded up to 1 KiB, and inodes; 0 means none."""
    blocks = -(-size // _BLOCK)
    wanted = bytearray(_LIMITS.pack(blocks, blocks, 0, inodes, inodes, 0, 0, 0, _VALID, 0))
    syscalls.quotactl_fd(fd, _command(_SET_LIMITS), project, wanted)


def project_of(fd: int) -> int:
    """Return the project of a file or directory."""
    found: int = _attributes(fd)[3]
    return found


def assign(fd: int, project: int) -> None:
    """Let a tree belong to a project, a directory before what is in it; what is made meanwhile inherits it.

    Symbolic links and device nodes are left out: they cannot be opened for this, and take an inode each alone.

    Raises:
        OSError: The kernel refused something; ESTALE when directories were moved again and again meanwhile.
    """
    for _ in range(_WALKS):
        try:
            _walk(fd, project)
        except _MovedError:
            continue
        return
    raise OSError(errno.ESTALE, "directories were moved while they were assigned to a project")


class _MovedError(Exception):
    """What is above a directory is not what was left for it."""


def _walk(top: int, project: int) -> None:
    """Assign a tree of any depth and width; one directory is open at a time, and going up again is `..`."""
    directory = os.open(".", _FOLDER, dir_fd=top)
    try:
        # For each level the directories that are still to be gone into, and who it is.
        waiting = [_assign_entries(directory, project)]
        identities = [_identity(directory)]
        while True:
            if waiting[-1]:
                inner = _enter(directory, waiting[-1].pop())
                if inner < 0:
                    continue
                os.close(directory)
                directory = inner
                waiting.append(_assign_entries(directory, project))
                identities.append(_identity(directory))
                continue
            waiting.pop()
            identities.pop()
            if not waiting:
                return
            above = os.open("..", _FOLDER, dir_fd=directory)
            os.close(directory)
            directory = above
            if _identity(directory) != identities[-1]:
                raise _MovedError
    finally:
        os.close(directory)


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino


def _enter(directory: int, name: str) -> int:
    """Open a directory; -1 when it is gone, or became something else."""
    try:
        return os.open(name, _FOLDER, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return -1


def _assign_entries(directory: int, project: int) -> list[str]:
    """Assign a directory and the files in it; return the names of the directories in it."""
    _assign(directory, project, inherit=True)
    folders = []
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                folders.append(name)
            elif stat.S_ISREG(status.st_mode):
                _assign_file(directory, name, project)
    return folders


def _assign_file(directory: int, name: str, project: int) -> None:
    try:
        entry = os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # it became something else
            raise
        return
    try:
        if stat.S_ISREG(os.fstat(entry).st_mode):
            _assign(entry, project, inherit=False)
    finally:
        os.close(entry)


def _assign(fd: int, project: int, *, inherit: bool) -> None:
    flags, *sizes, _, cow, pad = _attributes(fd)
    if inherit:
        flags |= _INHERIT
    fcntl.ioctl(fd, _SET, _ATTRIBUTES.pack(flags, *sizes, project, cow, pad))


def _attributes(fd: int) -> tuple[int, int, int, int, int, bytes]:
    found = fcntl.ioctl(fd, _GET, bytes(_ATTRIBUTES.size))
    flags, extent, extents, project, cow, pad = _ATTRIBUTES.unpack(found)
    return flags, extent, extents, project, cow, pad


def _command(number: int) -> int:
    return number << 8 | _PROJECT
