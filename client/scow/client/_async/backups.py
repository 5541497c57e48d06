"""Backups of volumes, as a client sees them."""

from __future__ import annotations

from collections.abc import Mapping

from scow.api.image.v1.image_pb2 import Auth
from scow.api.volume.v1 import backup_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._link import request_id
from scow.contract.errors import DataLoss

_Backups = list[pb.Backup]


class AsyncBackups:
    """Backups of volumes at registries: only what has changed since the last one goes up.

    Example::

        await client.backups.backup("data", "registry.example/backups/data:daily", freeze=True)
        await client.backups.restore("registry.example/backups/data:daily", "data-again")
    """

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    def backup_progress(
        self,
        volume: str,
        reference: str,
        *,
        snapshot: str = "",
        freeze: bool = False,
        full: bool = False,
        base: str = "",
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> AsyncStream[pb.BackupResponse]:
        """Send a volume to a registry, and tell how far that is; the last message has the result.

        Args:
            volume: Its name.
            reference: "HOST/NAME:TAG"; what it names already must be a backup, and this one builds on it.
            snapshot: Of the volume; empty means what the volume has now.
            freeze: Freeze the containers that run with the volume while it is copied aside.
            full: Send everything again, whatever the registry has.
            base: Another backup of the same repository to build on instead.
            auth: What the registry wants to know.
            timeout: Seconds for all of it.

        Raises:
            VolumeNotFound, SnapshotNotFound, VolumeNotLocal: See these classes.
            InvalidBackup: The reference names something else.
            RegistryDenied, RegistryUnavailable, RegistryRefused: See these classes.

        Example::

            async with client.backups.backup_progress("data", "localhost:5000/data:1") as progress:
                async for message in progress:
                    print(message.progress.done)
        """
        request = pb.BackupRequest(
            request_id=request_id(),
            volume=volume,
            snapshot=snapshot,
            reference=reference,
            auth=auth,
            freeze=freeze,
            full=full,
            base=base,
        )
        return self._service.stream(
            "BackupService/Backup", request, pb.BackupResponse, timeout, lambda _: request
        )

    async def backup(
        self,
        volume: str,
        reference: str,
        *,
        snapshot: str = "",
        freeze: bool = False,
        full: bool = False,
        base: str = "",
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> pb.BackupResult:
        """Send a volume to a registry; arguments and errors are those of `backup_progress`.

        Example::

            done = await client.backups.backup("data", "localhost:5000/data:1")
            print(done.sent, done.reused)
        """
        progress = self.backup_progress(
            volume,
            reference,
            snapshot=snapshot,
            freeze=freeze,
            full=full,
            base=base,
            auth=auth,
            timeout=timeout,
        )
        async with progress:
            async for message in progress:
                if message.WhichOneof("message") == "result":
                    return message.result
        raise DataLoss("the backup ended without a result", what="backup", do="try again")

    def restore_progress(
        self,
        reference: str,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        devices: bool = False,
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> AsyncStream[pb.RestoreResponse]:
        """Make a volume of a backup, and tell how far that is; the last message has the result.

        Args:
            reference: "HOST/NAME:TAG" or "HOST/NAME@DIGEST".
            name: Of the volume; empty means that of the volume that was backed up.
            labels: Of the volume.
            devices: Take device nodes too; otherwise a backup with one is refused.
            auth: What the registry wants to know.
            timeout: Seconds for all of it.

        Raises:
            ManifestNotFound: The registry has no such backup.
            InvalidBackup: The reference names something else.
            NameInUse: There is a volume of this name.
            DigestMismatch: The backup is damaged.

        Example::

            async with client.backups.restore_progress("localhost:5000/data:1") as progress:
                async for message in progress:
                    print(message.progress.done)
        """
        request = pb.RestoreRequest(
            request_id=request_id(),
            reference=reference,
            auth=auth,
            name=name,
            labels=labels,
            devices=devices,
        )
        return self._service.stream(
            "BackupService/Restore",
            request,
            pb.RestoreResponse,
            timeout,
            lambda last: request if last is None else None,
        )

    async def restore(
        self,
        reference: str,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        devices: bool = False,
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> pb.RestoreResult:
        """Make a volume of a backup; arguments and errors are those of `restore_progress`.

        Example::

            volume = (await client.backups.restore("localhost:5000/data:1", "again")).volume
        """
        progress = self.restore_progress(
            reference, name, labels=labels, devices=devices, auth=auth, timeout=timeout
        )
        async with progress:
            async for message in progress:
                if message.WhichOneof("message") == "result":
                    return message.result
        raise DataLoss("the restore ended without a result", what="backup", do="try again")

    async def list(
        self, repository: str, *, auth: Auth | None = None, timeout: float | None = None
    ) -> _Backups:
        """Describe the backups of a repository, by volume, then from the oldest to the newest.

        Args:
            repository: "HOST/NAME"; what else it has is left out.
            auth: What the registry wants to know.
            timeout: Seconds.

        Raises:
            ManifestNotFound: The registry has no such repository.
            RegistryDenied, RegistryUnavailable: See these classes.

        Example::

            for backup in await client.backups.list("localhost:5000/data"):
                print(backup.volume, backup.tags, backup.created_at.ToDatetime())
        """
        response = await self._service.call(
            "BackupService/ListBackups",
            pb.ListBackupsRequest(repository=repository, auth=auth),
            pb.ListBackupsResponse,
            timeout,
        )
        return [*response.backups]

    async def prune(
        self,
        repository: str,
        *,
        keep_last: int = 0,
        keep_within: float = 0.0,
        dry_run: bool = False,
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> pb.PruneBackupsResponse:
        """Delete old backups of a repository; images and all else that it has stay.

        The room that they took is free once the registry has collected its garbage.

        Args:
            repository: "HOST/NAME".
            keep_last: So many of each volume are kept, the newest ones.
            keep_within: Those that are not older than so many seconds are kept too.
            dry_run: Delete nothing, and tell what would be.
            auth: What the registry wants to know.
            timeout: Seconds.

        Raises:
            InvalidArgument: Neither `keep_last` nor `keep_within` is given.
            RegistryRefused: The registry deletes nothing.
            RegistryDenied, RegistryUnavailable: See these classes.

        Example::

            print((await client.backups.prune("localhost:5000/data", keep_last=7)).removed)
        """
        request = pb.PruneBackupsRequest(
            request_id=request_id(),
            repository=repository,
            auth=auth,
            keep_last=keep_last,
            dry_run=dry_run,
        )
        request.keep_within.FromNanoseconds(int(keep_within * 1e9))
        return await self._service.call(
            "BackupService/PruneBackups", request, pb.PruneBackupsResponse, timeout
        )
