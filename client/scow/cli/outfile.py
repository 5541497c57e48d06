"""Archives that go to a file or to standard output."""

from __future__ import annotations

import os
import stat
import sys

from scow.cli.parser import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO


def check(path: str) -> None:
    """See to it that an archive can go to a file, or to standard output where the path is empty.

    Raises:
        Refused: That is a terminal, or there is no such folder.
    """
    if not path and sys.stdout.isatty():
        raise Refused("cowardly refusing to save to a terminal. Use the -o flag or redirect", 1)
    folder = os.path.dirname(path) or "."
    if path and not os.path.isdir(folder):
        raise Refused(f"cannot write {path}: there is no folder {folder}", 1)
    if os.path.isdir(path):
        raise Refused(f"cannot write {path}: it is a folder", 1)


def write(path: str, pieces: Iterable[bytes]) -> None:
    """Write an archive to a file, or to standard output where the path is empty.

    A file has the whole archive or is as it was before.
    """
    if not path:
        _copy(pieces, sys.stdout.buffer)
        return
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as device:
            _copy(pieces, device)
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            _copy(pieces, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _copy(pieces: Iterable[bytes], target: BinaryIO) -> None:
    for piece in pieces:
        target.write(piece)
    target.flush()
