"""The driver "overlay": a layer is unpacked into its folder, in the form that overlayfs wants of a lower directory.

Works with every kernel that has overlayfs.
"""

from __future__ import annotations

from pathlib import Path

from scow.contract.errors import LayerCorrupt
from scow.image.content.sync import SharedSync
from scow.image.layers.drivers import Lower
from scow.image.layers.unpack.files import UnpackedFiles
from scow.image.workers.pool import Source, Unpacked, UnpackPool


class Overlay:
    """The driver.

    Args:
        pool: Who unpacks.
        sync: Of the file system.
    """

    name = "overlay"

    def __init__(self, pool: UnpackPool, sync: SharedSync) -> None:
        self._pool = pool
        self._sync = sync

    async def unpack(self, source: Source, folder: Path, *, slot: bool = True) -> Unpacked:
        """Write the layer's files."""
        folder.chmod(0o755)  # of a layer that does not say what its root is like
        return await self._pool.unpack(source, folder, slot=slot)

    def finish(self, folder: Path, blob: Path) -> None:
        """Do nothing."""

    def lower(self, folder: Path) -> Lower:
        """Describe the folder."""
        try:
            root = folder.stat()
        except FileNotFoundError:
            raise LayerCorrupt(
                f"the layer {folder} is missing",
                what="layer",
                which=str(folder),
                do="wait until it is built again, or pull the image again",
            ) from None
        return Lower(folder, (), root.st_mode & 0o7777, root.st_uid, root.st_gid)

    def damage(self, folder: Path, tar_size: int, *, thorough: bool) -> str:
        """Look whether the folder is there."""
        return "" if folder.is_dir() else "its folder was missing"

    async def differences(self, kept: Path, fresh: Path, since_ns: int) -> list[str]:
        """Compare all files."""
        return await self._pool.compare(kept, fresh, since_ns)

    def source(self, folder: Path) -> Path | None:
        """Return nothing: files do not tell the tar that they were in."""
        return None

    async def sync(self, folder: Path) -> None:
        """Write the whole file system out: asking for each file takes longer."""
        await self._sync()

    def files(self, folder: Path) -> UnpackedFiles:
        """Open the folder."""
        return UnpackedFiles(folder)
