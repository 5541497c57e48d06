"""Volumes as archives, as a client sees them: export and import."""

from __future__ import annotations

from collections.abc import Mapping

from scow.api.volume.v1 import archive_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._async.targets import Place, write_to
from scow.client._async.uploads import Upload, opened_file
from scow.client._link import request_id


class AsyncVolumeArchives:
    """The part of `AsyncVolumes` that has to do with archives."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def export(
        self, volume: str, target: Place, *, snapshot: str = "", timeout: float | None = None
    ) -> None:
        """Write a tar of what a volume, or a snapshot of it, has. The same content gives the same bytes.

        Args:
            volume: Its name. What changes while it is read is in the archive as it was at some moment, or not.
            target: Path or open binary file. A file at the path is replaced when the tar is complete.
            snapshot: Of the volume; empty means what the volume has now.
            timeout: Seconds for all of it.

        Raises:
            VolumeNotFound: No such volume.
            SnapshotNotFound: The volume has no such snapshot.
            VolumeNotLocal: Its data are not in a folder of the engine's own.
            OSError: The target cannot be written.

        Example::

            await client.volumes.export("data", "data.tar")
        """
        async with self.export_stream(volume, snapshot=snapshot, timeout=timeout) as stream:
            await write_to(stream, target)

    def export_stream(
        self, volume: str, *, snapshot: str = "", timeout: float | None = None
    ) -> AsyncStream[pb.ExportResponse]:
        """Give the tar of `export` in pieces; arguments and errors are those of `export`.

        Example::

            async with client.volumes.export_stream("data") as tar:
                async for message in tar:
                    print(len(message.chunk))
        """
        request = pb.ExportRequest(volume=volume, snapshot=snapshot)
        return self._service.stream(
            "ArchiveService/Export",
            request,
            pb.ExportResponse,
            timeout,
            lambda last: request if last is None else None,
        )

    async def import_tar(
        self,
        source: Place,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        devices: bool = False,
        timeout: float | None = None,
    ) -> pb.ImportResponse:
        """Make a volume of a tar.

        Args:
            source: Path or open binary file: plain, or compressed with gzip, zstd, xz or bzip2.
            name: Of the volume; empty: one is made up.
            labels: Of the volume.
            devices: Take device nodes too; otherwise an archive with one is refused.
            timeout: Seconds.

        Raises:
            InvalidName: A name with characters that are not allowed.
            NameInUse: There is a volume of this name.
            InvalidArchive: The tar cannot be read, reaches outside of its root, or has device nodes.
            LimitExceeded: It is larger than the engine takes.
            DiskFull: No space is left.
            OSError: The source cannot be read.

        Returns:
            `volume`, and `skipped_xattrs`: names of extended attributes that the engine's file system does not take,
            and which the volume therefore has not.

        Example::

            made = await client.volumes.import_tar("data.tar", "data")
            print(made.volume.mountpoint)
        """
        about = pb.ImportRequest.Open(
            request_id=request_id(), name=name, labels=labels, devices=devices
        )
        with opened_file(source) as file:
            upload = Upload(
                pb.ImportRequest(open=about), file, lambda chunk: pb.ImportRequest(chunk=chunk)
            )
            try:
                response = await self._service.upload(
                    "ArchiveService/Import", upload.requests(), pb.ImportResponse, timeout
                )
            except BaseException:  # grpc.aio cancels the call when the requests fail
                if upload.failure is not None:
                    raise upload.failure from None
                raise
        return response
