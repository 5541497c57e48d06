"""What was changed in a snapshot, as a list: what `docker diff` tells.

The upper directory of the overlay has all that may differ; whether something was there before, and whether it is
another one now, the layers below tell. A directory is modified when its owner or permissions are others, or something
in it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from scow.api.types.v1.types_pb2 import FileChange
from scow.core.archive import headers
from scow.core.archive.headers import Entry
from scow.image.layers.diff.changeset import Changeset, is_opaque, is_whiteout, xattr
from scow.image.stacks.merged import Merged, Node

_CAPABILITY = "security.capability"
# Bytes of a path that is told; what is deeper cannot be named in a system call (linux/limits.h).
_PATH_MAX = 4095
# Stands for every entry: nothing is written.
_SEEN = Entry(b"", headers.FILE)

Tell = Callable[[FileChange], None]


@dataclass(slots=True)
class _Place:
    """A directory on the way to what is looked at.

    Attributes:
        path: With a slash at its end; empty for the root.
        before: The directory that was there at first, or None.
        told: It is known to be changed.
    """

    path: bytes
    before: Node | None
    told: bool


class ChangeList(Changeset):
    """Tells changes in place of writing them.

    Args:
        tell: Gets each change.
        below: The layers that the snapshot lies on.
    """

    def __init__(self, tell: Tell, below: Merged) -> None:
        super().__init__(lambda _: None)
        self._tell = tell
        self._below = below
        self._trail = [_Place(b"", below.root, told=True)]

    def choose(self, directory: int, path: bytes, names: list[bytes]) -> list[bytes]:
        """Tell what a directory hides, if it is another one than at first."""
        if len(path) > _PATH_MAX:
            return []
        before = self._trail[-1].before
        if path and before is not None and is_opaque(directory):
            now = set(names)
            for child in self._below.children(before):
                if child.name not in now:
                    self._told(FileChange.KIND_DELETED, path + child.name)
        return super().choose(directory, path, names)

    def special(
        self, directory: int, name: bytes, path: bytes, status: os.stat_result
    ) -> Entry | None:
        """Tell of one entry; go into it when it is a directory."""
        place = self._place(path[: len(path) - len(name)])
        before = self._below.child(place.before, name) if place.before is not None else None
        if is_whiteout(directory, name, status):
            if before is not None:
                self._told(FileChange.KIND_DELETED, path)
            return _SEEN
        is_directory = stat.S_ISDIR(status.st_mode)
        changed = before is None or _differs(directory, name, status, before)
        if changed:
            kind = FileChange.KIND_ADDED if before is None else FileChange.KIND_MODIFIED
            self._told(kind, path)
        if not is_directory:
            return _SEEN
        same = before if before is not None and before.inode.is_directory else None
        self._trail.append(_Place(path + b"/", same, told=changed))
        return None

    def within(self, directory: int, path: bytes) -> Entry | None:
        """Write no marker."""
        return None

    def _place(self, path: bytes) -> _Place:
        while self._trail[-1].path != path:
            self._trail.pop()
        return self._trail[-1]

    def _told(self, kind: FileChange.Kind.ValueType, path: bytes) -> None:
        if len(path) > _PATH_MAX:
            return
        for place in self._trail:
            if not place.told:
                place.told = True
                modified = b"/" + place.path.rstrip(b"/")
                self._tell(FileChange(kind=FileChange.KIND_MODIFIED, path=modified))
        self._tell(FileChange(kind=kind, path=b"/" + path))


def _differs(directory: int, name: bytes, now: os.stat_result, node: Node) -> bool:
    """Tell whether a file is another one; of directories neither times nor sizes count."""
    was = node.inode
    if (now.st_mode, now.st_uid, now.st_gid) != (was.mode, was.uid, was.gid):
        return True
    if stat.S_ISDIR(now.st_mode):
        return False
    if now.st_mtime_ns != was.mtime_ns or _encoded(now.st_rdev) != was.device:
        return True
    if stat.S_ISLNK(now.st_mode):
        return os.fsencode(os.readlink(name, dir_fd=directory)) != was.link
    if stat.S_ISREG(now.st_mode):
        path = b"/proc/self/fd/%d/%s" % (directory, name)
        return now.st_size != was.size or xattr(path, _CAPABILITY) != was.xattrs.get(_CAPABILITY)
    return False


def _encoded(device: int) -> int:
    """Return a device number as `Inode` has it (linux/kdev_t.h, new_encode_dev)."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
