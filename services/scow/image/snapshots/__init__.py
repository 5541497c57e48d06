"""Snapshots: writable file systems on top of an image's layers.

Vocabulary and life cycle, the same for every driver:

- A *layer* is content that never changes, known by its number; the lowest comes first.
- A *snapshot* belongs to one owner, lies on top of a list of layers, and is known by a number too.
- `make` prepares the snapshot's folders. It may be called again with the same number and changes nothing then. When it
  raises, `remove` of the number leaves nothing behind.
- `mounts` describes how a snapshot is mounted, for mount(2) in the container's own mount namespace. It mounts nothing,
  touches nothing and gives the same result each time, so it can be asked for at every start.
- `changes` is where overlayfs has what the owner changed, in the form of an upper directory mounted with `userxattr`.
- `usage` counts what the snapshot itself holds: bytes of its files, and inodes, without the layers.
- `remove` deletes everything of a number; an unknown number is no error. Nothing of it may be mounted.

Example::

    driver.make(7, [1, 2])
    mounts = driver.mounts(7, [1, 2])    # overlay, lowerdir=.../2:.../1
    driver.remove(7)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from scow.api.types.v1.types_pb2 import Mount


class Snapshotter(Protocol):
    """What every driver does; see the module."""

    name: str

    def make(self, number: int, layers: Sequence[int]) -> None:
        """Prepare a snapshot's folders.

        Raises:
            DiskFull: No space is left.
        """

    def mounts(self, number: int, layers: Sequence[int]) -> list[Mount]:
        """Describe how a snapshot is mounted, in order."""

    def changes(self, number: int) -> Path:
        """Return a snapshot's upper directory."""

    def usage(self, number: int) -> tuple[int, int]:
        """Count a snapshot's bytes and inodes."""

    def remove(self, number: int) -> None:
        """Delete a snapshot."""

    def numbers(self) -> set[int]:
        """Return the numbers of all snapshots that are there, half-made ones too."""
