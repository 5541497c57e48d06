"""How a wrong field of a container's configuration, and a disk that is full, are reported."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from scow.core.errors import DiskFull, InvalidConfig


def invalid(field: str, why: str, do: str) -> InvalidConfig:
    """Return the error for a field.

    Args:
        field: Path of the field in ContainerConfig, "resources.memory".
        why: Completes the sentence "<field> ...".
        do: What the caller can do about it.
    """
    return InvalidConfig(f"{field} {why}", what="field", which=field, do=do)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write files below a folder.

    Raises:
        DiskFull: No space, inode or quota is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"no space left to write {folder}",
            what="file system",
            which=str(folder),
            do="free some space and try again",
        ) from error
