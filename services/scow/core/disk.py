"""A full disk is told in one way, whoever finds it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from scow.core.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)


def full(folder: Path) -> DiskFull:
    """Return the error of a folder that has no room."""
    return DiskFull(
        f"no space is left to write {folder}",
        what="file system",
        which=str(folder),
        do="free some space and try again",
    )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write files below a folder.

    Raises:
        DiskFull: No space, inode or quota is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full(folder) from error
