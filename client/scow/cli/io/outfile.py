"""Archives that go to a file or to standard output: `save` and `export`."""

from __future__ import annotations

import os
import sys

from scow.cli.flags.parser import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def target(path: str) -> str | BinaryIO:
    """Return where an archive goes: the path, or standard output where that is empty.

    Raises:
        Refused: That is a terminal, or there is no such folder.
    """
    if not path:
        if sys.stdout.isatty():
            raise Refused("cowardly refusing to save to a terminal: use the -o flag or redirect")
        return sys.stdout.buffer
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise Refused(f'invalid output path: {path}: directory "{folder}" does not exist')
    if os.path.isdir(path):
        raise Refused(f"invalid output path: {path}: it is a directory")
    return path
