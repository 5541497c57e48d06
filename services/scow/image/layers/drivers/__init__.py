"""Drivers: the forms in which layers are kept, so that overlayfs can lie on top of them.

Vocabulary and life cycle, the same for every driver:

- A *layer* is content that never changes. It has a folder of its own, which its driver alone fills and reads.
- `unpack` fills a new, empty folder from a layer as it was sent, compressed or not, while it still arrives.
- `finish` is called once the layer's blob is in the store, before the layer is recorded.
- `lower` describes the layer for an overlay. It mounts nothing, and gives the same each time.
- `damage` looks whether the folder is what was written; `differences` compares all of it with a fresh one.
- `source` gives what is left of the layer in a folder, for another `unpack` into another folder.
- `sync` lets a folder that was filled and renamed reach the disk.
- `files` reads the layer's files without mounting anything (`scow.image.stacks`).

Layers of one image may be of different drivers: `lower` is all that a snapshot needs to know of them.

Example::

    unpacked = await driver.unpack(source, folder)
    driver.finish(folder, blob)
    driver.lower(folder).mounts     # how the layer's file system is mounted, if it is one
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scow.api.types.v1.types_pb2 import Mount
from scow.image.stacks.layer import LayerFiles
from scow.image.workers.pool import Source, Unpacked


@dataclass(frozen=True)
class Lower:
    """A layer as overlayfs is given it.

    Attributes:
        path: A directory; or what stands for the file system that `mounts` makes.
        mounts: What is mounted before the overlay, attached nowhere.
        mode, uid, gid: Of the layer's root directory.
    """

    path: Path
    mounts: tuple[Mount, ...]
    mode: int
    uid: int
    gid: int


class Driver(Protocol):
    """What every driver does; see the module."""

    name: str

    async def unpack(self, source: Source, folder: Path, *, slot: bool = True) -> Unpacked:
        """Fill an empty folder.

        Args:
            source: The layer, compressed or not.
            folder: Where it goes.
            slot: Wait until a worker is free; without, nobody waits for a source that may take long.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull, KernelUnsupported: The folder is in any state then.
        """

    def finish(self, folder: Path, blob: Path) -> None:
        """Take what is wanted of the layer's blob, which never changes.

        Raises:
            DiskFull: No space is left.
        """

    def lower(self, folder: Path) -> Lower:
        """Describe a layer for an overlay.

        Raises:
            LayerCorrupt: Its folder is damaged.
        """

    def damage(self, folder: Path, tar_size: int, *, thorough: bool) -> str:
        """Say what is wrong with a folder; nothing when it looks right.

        Args:
            folder: The layer's.
            tar_size: Bytes of the layer's plain tar.
            thorough: Read all metadata; otherwise just look.
        """

    async def differences(self, kept: Path, fresh: Path, since_ns: int) -> list[str]:
        """Compare a folder in doubt with one that was filled and finished since `since_ns`."""

    def source(self, folder: Path) -> Path | None:
        """Return a file in the folder from which the layer can be made anew; it may be damaged itself."""

    async def sync(self, folder: Path) -> None:
        """Let a folder reach the disk, with the name that it has."""

    def files(self, folder: Path) -> LayerFiles:
        """Open the layer's files, to be read and closed.

        Raises:
            OSError: The folder is damaged.
        """
