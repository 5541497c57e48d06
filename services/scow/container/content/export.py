"""Exports: a tar of a container's root file system, without what is mounted into it.

The spawner makes a mount of it, attached nowhere, and hands its descriptor over; a process reads the tree through that
and writes the tar to a pipe. When the caller goes away that process ends, and with the last descriptor the mount.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator

from scow.container.lifecycle import remount
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import DataLoss
from scow.core.archive import processes


class Exports:
    """Exports containers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def export(self, container: str) -> AsyncGenerator[bytes, None]:
        """Give the tar, piece by piece.

        Raises:
            ContainerBusy: It is being made or removed.
            MountFailed: Its root file system cannot be mounted.
            DataLoss: Something of it cannot be read.
        """
        entry = self._shared.containers.find(container)
        if not entry.rootfs.mounts or entry.gone:
            raise states.busy(entry.described)
        root = await self._view(entry)
        try:
            async with contextlib.aclosing(processes.packed(root)) as pieces:
                async for piece in pieces:
                    yield piece
        except processes.UnreadableError as error:
            raise DataLoss(
                f"the root file system of container {entry.described.name} cannot be read: {error}",
                what="container",
                which=entry.described.name,
                do="check the file system that holds the engine's root",
            ) from error
        finally:
            os.close(root)

    async def _view(self, entry: Entry) -> int:
        try:
            return await self._shared.spawner.view(entry.rootfs.mounts)
        except remount.STALE:
            if not await remount.renew(self._shared, entry):
                raise
            return await self._shared.spawner.view(entry.rootfs.mounts)
