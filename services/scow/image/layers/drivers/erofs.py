"""The driver "erofs": a layer is its plain tar and an index, which together are a file system. Nothing is unpacked.

A folder has `layer.tar`, a hard link of the blob where that is a plain tar already, and `layer.erofs` (see
`image/layers/erofs`). The spawner mounts it. Needs EROFS on files and overlays over mounts that are attached nowhere,
Linux 6.15; `probe` finds out.
"""

from __future__ import annotations

import asyncio
import filecmp
import os
from pathlib import Path

from scow.api.types.v1.types_pb2 import Mount
from scow.contract.errors import LayerCorrupt
from scow.core.disk import sync, writing
from scow.image.layers.drivers import Lower
from scow.image.layers.erofs import INDEX, TAR, check
from scow.image.layers.erofs.files import ErofsFiles
from scow.image.workers.pool import Source, Unpacked, UnpackPool


class Erofs:
    """The driver.

    Args:
        pool: Who decompresses and writes the index.
    """

    name = "erofs"

    def __init__(self, pool: UnpackPool) -> None:
        self._pool = pool

    async def unpack(self, source: Source, folder: Path, *, slot: bool = True) -> Unpacked:
        """Write the index, and the tar unless the source is one."""
        folder.chmod(0o700)
        return await self._pool.index(source, folder, slot=slot)

    def finish(self, folder: Path, blob: Path) -> None:
        """Link the blob where it is the tar."""
        if not (folder / TAR).exists():
            with writing(folder):
                os.link(blob, folder / TAR)

    def lower(self, folder: Path) -> Lower:
        """Describe the index and what its root directory is like."""
        index = folder / INDEX
        try:
            facts = check.read(index)
        except (FileNotFoundError, check.Damaged) as error:
            raise LayerCorrupt(
                f"the layer {folder} is damaged: {error}",
                what="layer",
                which=str(folder),
                do="wait until it is built again, or pull the image again",
            ) from error
        mount = Mount(type=self.name, source=str(index), options=[f"device={folder / TAR}"])
        return Lower(index, (mount,), facts.mode & 0o7777, facts.uid, facts.gid)

    def damage(self, folder: Path, tar_size: int, *, thorough: bool) -> str:
        """Look at the index's head, or compare its metadata with what they hash to; look at the tar's length."""
        try:
            (check.verify if thorough else check.read)(folder / INDEX)
            found = (folder / TAR).stat().st_size
        except FileNotFoundError as error:
            return f"{Path(error.filename).name} was missing"
        except check.Damaged as error:
            return str(error)
        return "" if found == tar_size else f"{TAR} had {found} bytes instead of {tar_size}"

    async def differences(self, kept: Path, fresh: Path, since_ns: int) -> list[str]:
        """Compare the bytes: the same tar always gives the same index."""
        return await asyncio.to_thread(_differences, kept, fresh)

    def source(self, folder: Path) -> Path | None:
        """Return the tar."""
        tar = folder / TAR
        return tar if tar.exists() else None

    async def sync(self, folder: Path) -> None:
        """Write tar, index and folders out."""
        await asyncio.to_thread(_sync, folder)

    def files(self, folder: Path) -> ErofsFiles:
        """Open the index and the tar."""
        return ErofsFiles(folder)


def _differences(kept: Path, fresh: Path) -> list[str]:
    found = []
    for name in (TAR, INDEX):
        one, two = kept / name, fresh / name
        if not one.exists():
            found.append(f"{name} is missing")
        elif not one.samefile(two) and not filecmp.cmp(one, two, shallow=False):
            found.append(f"the content of {name} differs")
    filecmp.clear_cache()
    return found


def _sync(folder: Path) -> None:
    for path in (folder / TAR, folder / INDEX, folder, folder.parent):
        sync(path)
