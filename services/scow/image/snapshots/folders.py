"""Snapshots: writable file systems on top of an image's layers, by overlayfs.

Vocabulary and life cycle:

- A *layer* is content that never changes, in the form of its driver (`drivers`); a `Lower` describes it.
- A *snapshot* belongs to one owner, lies on top of a list of layers, the lowest first, and is known by a number.
- `make` prepares the snapshot's folders. It may be called again with the same number and changes nothing then. When it
  raises, `remove` of the number leaves nothing behind.
- `mounts` describes how a snapshot is mounted in the container's own mount namespace: the layers that are file systems,
  then the overlay, which names those by `Lower.path`. It mounts nothing, touches nothing and gives the same result each
  time, so it can be asked for at every start.
- `changes` is where overlayfs has what the owner changed, in the form of an upper directory mounted with `userxattr`.
- `usage` counts what the snapshot itself holds: bytes of its files, and inodes, without the layers.
- The *init layer* lies below all layers of every image. It has what the engine itself gives a container: `/.dockerenv`,
  by which programs tell that they run in one. So it is in the container and in exports, is no change of the
  container's that counts or gets into a commit, stays away where the container deletes it, and gives way to what the
  image has there.
- `remove` deletes everything of a number; an unknown number is not an error. Nothing of it may be mounted.

https://docs.kernel.org/filesystems/overlayfs.html. `userxattr` because opaque directories of layers are marked
with `user.overlay.opaque` (see `unpack.apply`): so the service needs no CAP_SYS_ADMIN. Needs Linux 5.11.

Example::

    snapshots.make(7, lowers)
    mounts = snapshots.mounts(7, lowers)    # overlay, lowerdir=.../2:.../1:.../init
    snapshots.remove(7)
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from scow.api.types.v1.types_pb2 import Mount
from scow.core import disk
from scow.core.disk import writing
from scow.image.layers.drivers import Lower
from scow.kernel.trees import remove_tree

# Of the init layer's root, and of its file, as Docker has them.
_MODE = 0o755
_MARKER = ".dockerenv"


class SnapshotFolders:
    """The folders of snapshots; see the module.

    Args:
        base: The service's folder.
    """

    def __init__(self, base: Path) -> None:
        self._folder = base / "snapshots"
        self._folder.mkdir(exist_ok=True, mode=0o711)
        self._init = base / "init"
        _make_init_layer(self._init)

    def make(self, number: int, layers: Sequence[Lower]) -> None:
        """Make upper and work directory; the upper one looks like the topmost layer's root.

        Raises:
            DiskFull: No space is left.
        """
        folder = self._folder / str(number)
        root = layers[-1] if layers else Lower(self._init, (), _MODE, 0, 0)
        with writing(self._folder):
            folder.mkdir(exist_ok=True, mode=0o710)
            (folder / "work").mkdir(exist_ok=True, mode=0o700)
            upper = folder / "fs"
            upper.mkdir(exist_ok=True)
            os.chown(upper, root.uid, root.gid)
            upper.chmod(root.mode)

    def mounts(self, number: int, layers: Sequence[Lower]) -> list[Mount]:
        """Describe how a snapshot is mounted, in order."""
        folder = self._folder / str(number)
        # overlayfs refuses a directory that is there twice; under its upper occurrence the lower one shows nothing.
        unique = {layer.path: layer for layer in reversed(layers)}
        lower = [_escaped(path) for path in (*unique, self._init)]
        options = [
            f"lowerdir={':'.join(lower)}",
            f"upperdir={_escaped(folder / 'fs')}",
            f"workdir={_escaped(folder / 'work')}",
            "userxattr",
        ]
        overlay = Mount(type="overlay", source="overlay", options=options)
        return [*(mount for layer in unique.values() for mount in layer.mounts), overlay]

    def changes(self, number: int) -> Path:
        """Return a snapshot's upper directory."""
        return self._folder / str(number) / "fs"

    def usage(self, number: int) -> tuple[int, int]:
        """Count what is in the upper directory; hard links count once."""
        return disk.usage(self.changes(number))

    def remove(self, number: int) -> None:
        """Delete the directories."""
        folder = self._folder / str(number)
        if folder.exists():
            remove_tree(folder)

    def numbers(self) -> set[int]:
        """Return the numbers that have a directory."""
        return {int(name) for name in os.listdir(self._folder)}


def _make_init_layer(folder: Path) -> None:
    """Make the init layer, or complete it: whatever the umask is, all may read it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(_MODE)
    marker = folder / _MARKER
    marker.touch()
    marker.chmod(_MODE)
    os.utime(marker, (0, 0))  # always the same: exports of the same content have the same bytes


def _escaped(path: Path) -> str:
    """Return a path for overlayfs' options, in which colons and commas separate."""
    return re.sub(r"([\\:,])", r"\\\1", str(path))
