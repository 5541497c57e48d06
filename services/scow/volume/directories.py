"""The folders of volumes: `volumes/<name>/_data`, and `trash/` for what is being deleted.

A volume's folder is made under a temporary name and renamed, and renamed into the trash before it is deleted, so
that a volume is there whole or not at all whenever the process is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from scow.core.disk import writing
from scow.kernel.trees import remove_tree

DATA = "_data"
_NEW = ".new-"


class Directories:
    """The folders under the service's own folder."""

    def __init__(self, base: Path) -> None:
        self._volumes = base / "volumes"
        self._trash = base / "trash"
        for folder in (self._volumes, self._trash):
            folder.mkdir(mode=0o701, parents=True, exist_ok=True)

    def data(self, name: str) -> Path:
        """Return the folder that a container gets to see."""
        return self._volumes / name / DATA

    def make(self, name: str) -> None:
        """Make a volume's folder; one that is there stays."""
        target = self._volumes / name
        if target.is_dir():
            return
        new = self._volumes / f"{_NEW}{name}"
        shutil.rmtree(new, ignore_errors=True)
        with writing(self._volumes):
            new.mkdir(mode=0o701)
            (new / DATA).mkdir()
            (new / DATA).chmod(0o755)
            new.rename(target)

    def discard(self, name: str) -> None:
        """Take a volume's folder out of sight; `empty_trash` deletes it."""
        source = self._volumes / name
        if source.exists():
            source.rename(self._trash / f"{name}.{os.urandom(4).hex()}")

    def empty_trash(self) -> None:
        """Delete what was discarded. Blocks for as long as that takes."""
        for folder in self._trash.iterdir():
            with contextlib.suppress(OSError):
                remove_tree(folder)

    def names(self) -> set[str]:
        """Return the names of the volumes whose folders are there."""
        return {p.name for p in self._volumes.iterdir() if not p.name.startswith(_NEW)}

    def remove_half_made(self) -> list[str]:
        """Delete folders whose making was cut short; return their names."""
        halves = [p for p in self._volumes.iterdir() if p.name.startswith(_NEW)]
        for folder in halves:
            with contextlib.suppress(OSError):
                remove_tree(folder)
        return [p.name.removeprefix(_NEW) for p in halves]
