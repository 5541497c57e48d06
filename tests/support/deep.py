"""Trees that are deeper than the number of descriptors that a process may have, or than a path is long."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


def deep(folder: Path, levels: int) -> None:
    """Make directories `d`, each in the one before, and a file beside each."""
    descriptor = os.open(folder, _FOLDER)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptor))
        descriptor = _down(descriptor)
    os.close(descriptor)


def depth(folder: Path) -> int:
    """Return how many such levels a folder has."""
    descriptor, levels = os.open(folder, _FOLDER), 0
    while os.listdir(descriptor):
        descriptor = _down(descriptor)
        levels += 1
    os.close(descriptor)
    return levels


def _down(descriptor: int) -> int:
    inner = os.open("d", _FOLDER, dir_fd=descriptor)
    os.close(descriptor)
    return inner
