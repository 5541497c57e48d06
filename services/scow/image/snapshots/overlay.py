"""Snapshots with overlayfs: each layer a lower directory, the owner's writes in an upper one.

https://docs.kernel.org/filesystems/overlayfs.html. `userxattr` because opaque directories of layers are marked
with `user.overlay.opaque` (see `unpack.apply`): so the service needs no CAP_SYS_ADMIN. Needs Linux 5.11.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from scow.api.types.v1.types_pb2 import Mount
from scow.core import disk
from scow.core.disk import writing
from scow.core.trees import remove_tree


class Overlay:
    """The driver.

    Args:
        base: The service's folder.
        layer: Gives a layer's folder.
    """

    name = "overlay"

    def __init__(self, base: Path, layer: Callable[[int], Path]) -> None:
        self._folder = base / "snapshots"
        self._folder.mkdir(exist_ok=True, mode=0o711)
        # overlayfs wants one lower directory at least: the one of images without layers.
        self._empty = base / "empty"
        self._empty.mkdir(exist_ok=True, mode=0o755)
        self._layer = layer

    def make(self, number: int, layers: Sequence[int]) -> None:
        """Make upper and work directory; the upper one looks like the topmost layer's root."""
        folder = self._folder / str(number)
        with writing(self._folder):
            folder.mkdir(exist_ok=True, mode=0o710)
            (folder / "work").mkdir(exist_ok=True, mode=0o700)
            upper = folder / "fs"
            upper.mkdir(exist_ok=True)
            root = (self._layer(layers[-1]) if layers else self._empty).stat()
            os.chown(upper, root.st_uid, root.st_gid)
            upper.chmod(root.st_mode & 0o7777)

    def mounts(self, number: int, layers: Sequence[int]) -> list[Mount]:
        """Describe the one overlay mount."""
        folder = self._folder / str(number)
        # overlayfs refuses a directory that is there twice; under its upper occurrence the lower one shows nothing.
        lower = [_escaped(self._layer(layer)) for layer in dict.fromkeys(reversed(layers))]
        options = [
            f"lowerdir={':'.join(lower or [_escaped(self._empty)])}",
            f"upperdir={_escaped(folder / 'fs')}",
            f"workdir={_escaped(folder / 'work')}",
            "userxattr",
        ]
        return [Mount(type="overlay", source="overlay", options=options)]

    def changes(self, number: int) -> Path:
        """Return the upper directory."""
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


def _escaped(path: Path) -> str:
    """Return a path for overlayfs' options, in which colons and commas separate."""
    return re.sub(r"([\\:,])", r"\\\1", str(path))
