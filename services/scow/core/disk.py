"""A disk that is full, or read-only, is told in one way, whoever finds it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from scow.contract.errors import DiskFull, ReadOnlyStorage
from scow.kernel import trees

FULL = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 512  # st_blocks counts in these (stat(2))


def full(folder: Path) -> DiskFull:
    """Return the error of a folder that has no room."""
    return full_at(str(folder))


def full_at(place: str) -> DiskFull:
    """Return the error of a place that has no room."""
    return DiskFull(
        f"no space is left to write {place}",
        what="file system",
        which=place,
        do="free some space and try again",
    )


def read_only(folder: Path) -> ReadOnlyStorage:
    """Return the error of a folder that cannot be written to."""
    return ReadOnlyStorage(
        f"the file system of {folder} is read-only",
        what="file system",
        which=str(folder),
        do="see the kernel's log for errors of the disk, then mount it writable",
    )


def usage(folder: Path) -> tuple[int, int]:
    """Return the bytes that a folder's files take on the disk, and how many inodes there are; hard links count once.

    Directories count as inodes alone: what the file system gives them, 4 KiB or so, is nothing that anybody stored.
    """
    seen: set[tuple[int, int]] = set()
    size = 0
    for status in trees.statuses(folder):
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            size += _stored(status)
    return size, len(seen)


def _stored(status: os.stat_result) -> int:
    """Return the bytes of a file without its holes; a short symlink has its text in the inode and takes no block."""
    if stat.S_ISREG(status.st_mode):
        return min(status.st_size, status.st_blocks * _BLOCK)
    return status.st_size if stat.S_ISLNK(status.st_mode) else 0


def free(folder: Path) -> int:
    """Return the bytes that may still be written to a folder's file system."""
    about = os.statvfs(folder)
    return about.f_bavail * about.f_frsize


def sync(path: Path) -> None:
    """Let a file, or the names in a folder, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write files below a folder.

    Raises:
        DiskFull: No space, inode or quota is left.
        ReadOnlyStorage: The file system is read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EROFS:
            raise read_only(folder) from error
        if error.errno not in FULL:
            raise
        raise full(folder) from error
