"""The folders of snapshots and of former content.

::

    snapshots/<volume>/<snapshot>     as the volume's folder was
    former/<random>                   what running containers have mounted, of volumes that were restored meanwhile

Nobody but the engine reaches them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from scow.core import disk
from scow.core.disk import writing
from scow.kernel import syscalls
from scow.volume.directories import Directories
from scow.volume.staging import TREE


class SnapshotFolders:
    """The folders under the service's own folder."""

    def __init__(self, base: Path, directories: Directories) -> None:
        self._snapshots = base / "snapshots"
        self._former = base / "former"
        self._directories = directories
        for folder in (self._snapshots, self._former):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, volume: str, name: str) -> Path:
        """Return where a snapshot is."""
        return self._snapshots / volume / name

    def keep(self, place: Path, volume: str, name: str) -> None:
        """Put what was made in a place where a snapshot is."""
        target = self.path(volume, name)
        with writing(self._snapshots):
            target.parent.mkdir(mode=0o700, exist_ok=True)
            (place / TREE).rename(target)
            disk.sync(target.parent)

    def exchange(self, content: Path, volume: str) -> None:
        """Let other content and what a volume has change places, at once."""
        with writing(self._snapshots):
            data = str(self._directories.data(volume))
            syscalls.rename(str(content), data, syscalls.RENAME_EXCHANGE)
            self._directories.sync(volume)

    def keep_former(self, content: Path, folder: str) -> Path:
        """Put content under a name below `former/`; return its path there."""
        return content.rename(self._former / folder)

    def discard(self, volume: str, name: str) -> None:
        """Take a snapshot out of sight; `Directories.empty_trash` deletes it."""
        target = self.path(volume, name)
        self._directories.put_away(target)
        with contextlib.suppress(OSError):  # others are there
            target.parent.rmdir()

    def discard_former(self, folder: str) -> None:
        """Take former content out of sight."""
        self._directories.put_away(self._former / folder)

    def present(self) -> set[tuple[str, str]]:
        """Return volume and name of the snapshots whose folders are there."""
        return {
            (volume, name)
            for volume in os.listdir(self._snapshots)
            for name in os.listdir(self._snapshots / volume)
        }

    def present_former(self) -> set[str]:
        """Return which folders of former content are there."""
        return set(os.listdir(self._former))
