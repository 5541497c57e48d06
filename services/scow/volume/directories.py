"""The folders of volumes, and `trash/` for what is being deleted.

::

    volumes/<name>/_data               what containers see
    volumes/<name>/fill-<owner>/       content on its way, of one owner that may fill the volume; nobody else's
    volumes/.new-<hash of the name>    being made
    trash/                             being deleted

A volume's folder is made under a temporary name and renamed, and renamed into the trash before it is deleted, so
that a volume is there whole or not at all whenever the process is killed. A container sees `_data` alone, mounted:
what is in it is never looked up by name here, and nothing of the engine is ever in it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from scow.core import disk
from scow.core.disk import writing
from scow.kernel.trees import remove_tree

DATA = "_data"
# The content in a place of `scow.volume.staging`.
CONTENT = "tree"
_NEW = ".new-"
_FILL = "fill-"
_OFFERED = "content"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Directories:
    """The folders under the service's own folder."""

    def __init__(self, base: Path) -> None:
        self._volumes = base / "volumes"
        self._trash = base / "trash"
        # Device and inode of folders that are being read, and by how many.
        self._read: Counter[tuple[int, int]] = Counter()
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
        new = self._begin(name)
        with writing(self._volumes):
            (new / DATA).mkdir()
            (new / DATA).chmod(0o755)
            new.rename(target)

    def adopt(self, content: Path, name: str) -> None:
        """Make a volume's folder of content that is there already."""
        new = self._begin(name)
        with writing(self._volumes):
            content.rename(new / DATA)
            new.rename(self._volumes / name)
            disk.sync(self._volumes)

    def _begin(self, name: str) -> Path:
        # A volume's name may be as long as a name of a file.
        new = self._volumes / f"{_NEW}{_hashed(name)}"
        remove_tree(new)
        with writing(self._volumes):
            new.mkdir(mode=0o701)
        return new

    def has_content(self, name: str) -> bool:
        """Tell whether something is in a volume's folder."""
        try:
            descriptor = os.open(self.data(name), _FOLDER)
        except FileNotFoundError:
            return False
        except OSError:  # an administrator put something else there
            return True
        try:
            with os.scandir(descriptor) as entries:
                return next(entries, None) is not None
        finally:
            os.close(descriptor)

    def offer(self, name: str, owner: str) -> Path:
        """Return where an owner may put content for a volume; the folder around it is made."""
        folder = self._volumes / name / _fill(owner)
        with writing(self._volumes):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder / _OFFERED

    def fill(self, name: str, owner: str) -> bool:
        """Put what was offered in the place of a volume's empty folder, at once; tell whether it was done.

        Nobody may have the folder mounted: who has would keep the old one.
        """
        content = self._volumes / name / _fill(owner) / _OFFERED
        try:
            with writing(self._volumes):
                content.rename(self.data(name))
        except OSError as error:
            # Nothing was offered, or there is content.
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            return False
        return True

    def sync(self, name: str) -> None:
        """Let the names in a volume's folder reach the disk. Blocks."""
        disk.sync(self._volumes / name)

    def take_back(self, name: str, owner: str) -> None:
        """Take what was offered out of sight; `empty_trash` deletes it."""
        self.put_away(self._volumes / name / _fill(owner))

    def take_back_others(self, name: str, owners: Collection[str]) -> None:
        """Take back what anybody but these owners was offered."""
        kept = {_fill(owner) for owner in owners}
        with contextlib.suppress(FileNotFoundError):
            for entry in os.listdir(self._volumes / name):
                if entry.startswith(_FILL) and entry not in kept:
                    self.put_away(self._volumes / name / entry)

    def discard(self, name: str) -> None:
        """Take a volume's folder out of sight; `empty_trash` deletes it."""
        self.put_away(self._volumes / name)

    def put_away(self, folder: Path) -> None:
        """Take a folder of the service's out of sight; `empty_trash` deletes it."""
        with contextlib.suppress(FileNotFoundError):
            folder.rename(self._trash / os.urandom(8).hex())

    @contextlib.contextmanager
    def reading(self, folder: int) -> Iterator[None]:
        """Keep what a descriptor names for the length of the block, if it is thrown away meanwhile."""
        status = os.fstat(folder)
        key = (status.st_dev, status.st_ino)
        self._read[key] += 1
        try:
            yield
        finally:
            self._read[key] -= 1
            if not self._read[key]:
                del self._read[key]

    def empty_trash(self) -> None:
        """Delete what was discarded and is not being read. Blocks for as long as that takes."""
        for folder in self._trash.iterdir():
            with contextlib.suppress(OSError):
                if not self._is_read(folder):
                    remove_tree(folder)

    def _is_read(self, folder: Path) -> bool:
        """Tell whether a folder in the trash, or the content in it, is being read."""
        if not self._read:
            return False
        for part in (folder, folder / DATA, folder / CONTENT):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                status = part.stat(follow_symlinks=False)
                if (status.st_dev, status.st_ino) in self._read:
                    return True
        return False

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


def _fill(owner: str) -> str:
    """Return the name of an owner's folder: an owner's own name may have slashes."""
    return _FILL + _hashed(owner)


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
