"""Exports: a tar of a container's root file system, without what is mounted into it.

The spawner makes a mount of it, attached nowhere, and hands its descriptor over; a process reads the tree through that
and writes the tar to a pipe. When the caller goes away that process ends, and with the last descriptor the mount.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator

from scow.container.lifecycle import remount
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import DataLoss

_WORKER = "scow.core.archive.export"
_CHUNK = 1 << 20


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
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _WORKER, str(root)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(root,),
                process_group=0,
                limit=_CHUNK,
            )
        finally:
            os.close(root)
        try:
            async for piece in _output(process, entry):
                yield piece
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _view(self, entry: Entry) -> int:
        try:
            return await self._shared.spawner.view(entry.rootfs.mounts)
        except remount.STALE:
            if not await remount.renew(self._shared, entry):
                raise
            return await self._shared.spawner.view(entry.rootfs.mounts)


async def _output(process: asyncio.subprocess.Process, entry: Entry) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    while piece := await process.stdout.read(_CHUNK):
        yield piece
    said = (await process.stderr.read()).decode(errors="replace").strip()
    if await process.wait() != 0:
        raise DataLoss(
            f"the root file system of container {entry.described.name} cannot be read: {said}",
            what="container",
            which=entry.described.name,
            do="check the file system that holds the engine's root",
        )
