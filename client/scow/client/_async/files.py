"""The files of containers, as a client sees them."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable
from typing import BinaryIO

from scow.api.container.v1 import files_pb2 as pb
from scow.api.types.v1.types_pb2 import FileChange
from scow.client import _copy_rules as rules
from scow.client._aio import write
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._async.uploads import Upload
from scow.client._copy_rules import Info
from scow.contract.errors import FileNotFound, InvalidArgument

Path = str | os.PathLike[str]
# Told how many bytes of an archive have gone.
Progress = Callable[[int], object]


class AsyncFiles:
    """The part of AsyncContainers that looks at files, and copies them."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def diff(self, container: str, *, timeout: float | None = None) -> list[FileChange]:
        """Tell what a container changed in its file system, running or not.

        Directories come before what is in them. Paths are bytes. What is mounted into it is not looked at.

        Raises:
            ContainerBusy: It is being made or removed.
            DataLoss: Its files cannot be read.

        Example::

            for change in await client.containers.diff("web"):
                print(FileChange.Kind.Name(change.kind), change.path.decode())
        """
        changes: list[FileChange] = []
        async with self.diff_stream(container, timeout=timeout) as messages:
            async for message in messages:
                changes += message.changes
        return changes

    def diff_stream(
        self, container: str, *, timeout: float | None = None
    ) -> AsyncStream[pb.DiffResponse]:
        """Give the changes of `diff` in pieces; arguments and errors are those of `diff`.

        Example::

            async with client.containers.diff_stream("web") as messages:
                async for message in messages:
                    print(len(message.changes))
        """
        request = pb.DiffRequest(container=container)
        return self._service.stream(
            "FilesService/Diff",
            request,
            pb.DiffResponse,
            timeout,
            lambda last: request if last is None else None,
        )

    async def stat_path(
        self, container: str, path: str, *, timeout: float | None = None
    ) -> pb.PathStat:
        """Tell what a path of a container leads to; a link at its end is not followed, unless "/" or "/." follows.

        Args:
            container: Running or not. What is mounted into it is seen; of one that does not run, binds and volumes
                that are folders.
            path: From the container's root on.
            timeout: Seconds.

        Raises:
            FileNotFound: There is nothing, or a file of the kernel's (/proc, /sys).
            ContainerNotRunning: It is in what only a start mounts: an image, or a volume that a plugin has or that its
                options place elsewhere.
            ContainerBusy: It is being made or removed.

        Example::

            print((await client.containers.stat_path("web", "/etc/passwd")).size)
        """
        request = pb.StatPathRequest(container=container, path=os.fsencode(path))
        response = await self._service.call(
            "FilesService/StatPath", request, pb.StatPathResponse, timeout
        )
        return response.stat

    def copy_out_stream(
        self, container: str, path: str, *, timeout: float | None = None
    ) -> AsyncStream[pb.CopyOutResponse]:
        """Give a tar of what a path of a container leads to, in pieces; the first message tells what that is.

        Arguments and errors are those of `stat_path`; DataLoss when something cannot be read.

        Example::

            async with client.containers.copy_out_stream("web", "/etc") as messages:
                async for message in messages:
                    print(len(message.chunk))
        """
        request = pb.CopyOutRequest(container=container, path=os.fsencode(path))
        return self._service.stream(
            "FilesService/CopyOut",
            request,
            pb.CopyOutResponse,
            timeout,
            lambda last: request if last is None else None,
        )

    async def copy_out(
        self,
        container: str,
        source: str,
        target: Path,
        *,
        follow: bool = False,
        owners: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> None:
        """Copy a file or a directory of a container to the local file system, by Docker's rules.

        Args:
            container: Running or not.
            source: What is copied; "/." at its end means what is in a directory, without itself.
            target: Where to: a directory, or the name that the copy gets.
            follow: Copy what a link leads to.
            owners: Keep owners, by number; otherwise the copy is the caller's.
            progress: Told how many bytes of the archive have come.
            timeout: Seconds for all of it.

        Raises:
            As `stat_path`.
            InvalidArgument: A directory cannot be copied onto a file.
            InvalidArchive: Something of another kind is in the way.
            DataLoss: Something cannot be read.
            OSError: The target cannot be written.

        Example::

            await client.containers.copy_out("web", "/var/log/nginx", "logs")
        """
        from scow.client._tar_files import Extraction

        path, name = _from_root(source), ""
        if follow:
            path, name = await self._followed(container, path)
        target = os.fspath(target)
        async with self.copy_out_stream(container, path, timeout=timeout) as messages:
            first = await messages.__anext__()
            is_directory = stat.S_ISDIR(first.stat.mode)
            found = Info(path, True, is_directory, name)
            folder, wanted = rules.plan(found, rules.destination(target))
            with Extraction(folder, wanted, owners=owners) as extraction:
                async for message in messages:
                    await write(extraction.file, message.chunk)
                    if progress is not None:
                        progress(len(message.chunk))

    async def _followed(self, container: str, path: str) -> tuple[str, str]:
        """Return what a link leads to, and the link's name where that is another one."""
        found = await self.stat_path(container, path)
        if not stat.S_ISLNK(found.mode):
            return path, ""
        target = posixpath.join(rules.split(path)[0], os.fsdecode(found.link_target))
        name = rules.split(path)[1]
        return target, name if posixpath.basename(target) != name else ""

    async def copy_in(
        self,
        container: str,
        source: Path | BinaryIO,
        target: str,
        *,
        follow: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> pb.CopyInResponse:
        """Copy a local file or directory into a container, by Docker's rules. Owners are kept, by number.

        Args:
            container: Running or not.
            source: Path, or an open binary file with a tar, plain or compressed. "/." at the end of a path means what
                is in a directory, without itself.
            target: Where to: a directory, or the name that the copy gets; a directory for a tar.
            follow: Copy what a link leads to.
            progress: Told how many bytes of the archive have gone.
            timeout: Seconds for all of it.

        Raises:
            As `stat_path`.
            InvalidArgument: A directory cannot be copied onto a file.
            InvalidArchive: Something of another kind is in the way, or the tar cannot be read.
            ReadOnlyRoot: The root, or what is mounted there, is read-only.
            DiskFull: No space is left. What was written before stays.
            OSError: The source cannot be read.

        Example::

            await client.containers.copy_in("web", "site/.", "/usr/share/nginx/html")
        """
        from scow.client._tar_files import Archive, Counted

        found = await self._target(container, target)
        if isinstance(source, (str, os.PathLike)):
            local = rules.source(os.fspath(source), follow=follow)
            folder, name = rules.plan(local, found)
            archive: Archive | BinaryIO = Archive(local.path, name)
        elif not found.is_directory:
            raise InvalidArgument(
                f'destination "{container}:{target}" must be a directory',
                what="path",
                which=target,
                do="name one that is there",
            )
        else:
            folder, archive = found.path, source
        opened = pb.CopyInRequest.Open(container=container, path=os.fsencode(folder))
        upload = Upload(
            pb.CopyInRequest(open=opened),
            Counted(archive, progress),
            lambda chunk: pb.CopyInRequest(chunk=chunk),
        )
        try:
            return await self._service.upload(
                "FilesService/CopyIn", upload.requests(), pb.CopyInResponse, timeout
            )
        except BaseException:  # grpc.aio cancels the call when the requests fail
            if upload.failure is not None:
                raise upload.failure from None
            raise

    async def _target(self, container: str, target: str) -> Info:
        """Look at a destination in a container; a link is followed."""
        path = _from_root(target)
        try:
            found = await self.stat_path(container, path)
            if stat.S_ISLNK(found.mode):
                path = posixpath.join(rules.split(path)[0], os.fsdecode(found.link_target))
                found = await self.stat_path(container, path)
        except FileNotFound:
            return Info(path)
        rules.refuse_device(f"{container}:{target}", found.mode)
        return Info(path, True, stat.S_ISDIR(found.mode))


def _from_root(path: str) -> str:
    """Return a path of a container as an absolute one.

    Raises:
        InvalidArgument: It is empty.
    """
    if not path:
        raise InvalidArgument(
            "the path cannot be empty", what="path", which="", do="give a path of the container"
        )
    return "/" + path.lstrip("/")
