"""The servicer of backups: a wire shell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.volume.v1 import backup_pb2 as pb
from scow.api.volume.v1 import backup_pb2_grpc as pb_grpc
from scow.core.requests import Requests
from scow.volume.backup.backups import Backups
from scow.volume.backup.retention import Retention
from scow.volume.backup.writing import Progress

Context = grpc.aio.ServicerContext[Any, Any]
# Seconds between two reports.
_REPORT = 0.5


class BackupServicer(pb_grpc.BackupServiceServicer):
    """Serves scow.api.volume.v1.BackupService."""

    def __init__(self, backups: Backups, retention: Retention, requests: Requests) -> None:
        self._backups = backups
        self._retention = retention
        self._requests = requests

    async def Backup(
        self, request: pb.BackupRequest, context: Context
    ) -> AsyncIterator[pb.BackupResponse]:
        """Send a volume to a registry. Doing it again is harmless, so `request_id` needs no record."""
        progress = Progress()
        task = asyncio.create_task(self._backups.backup(request, progress))
        async for told in _told(task, progress):
            yield pb.BackupResponse(progress=told)
        yield pb.BackupResponse(result=task.result())

    async def Restore(
        self, request: pb.RestoreRequest, context: Context
    ) -> AsyncIterator[pb.RestoreResponse]:
        """Make a volume of a backup."""
        progress = Progress()
        task = asyncio.create_task(
            self._requests.once(
                "Restore",
                request,
                pb.RestoreResult,
                lambda: self._backups.restore(request, progress),
            )
        )
        async for told in _told(task, progress):
            yield pb.RestoreResponse(progress=told)
        yield pb.RestoreResponse(result=task.result())

    async def ListBackups(
        self, request: pb.ListBackupsRequest, context: Context
    ) -> pb.ListBackupsResponse:
        """Describe the backups of a repository."""
        return pb.ListBackupsResponse(backups=await self._retention.list(request))

    async def PruneBackups(
        self, request: pb.PruneBackupsRequest, context: Context
    ) -> pb.PruneBackupsResponse:
        """Delete old backups. Doing it again is harmless, so `request_id` needs no record."""
        return await self._retention.prune(request)


async def _told(task: asyncio.Task[Any], progress: Progress) -> AsyncIterator[pb.BackupProgress]:
    """Tell how far some work is until it has ended; it ends with the caller."""
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_REPORT)
            yield pb.BackupProgress(
                done=progress.done, moved=progress.moved, reused=progress.reused
            )
    finally:
        task.cancel()
        await asyncio.wait([task])
