"""Images in archives, as a client sees them: save, load, import."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import BinaryIO, Literal

from scow.api.image.v1 import archive_pb2 as archive_pb
from scow.api.image.v1 import image_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._async.targets import Place, write_to
from scow.client._async.uploads import Upload, opened_file
from scow.client._link import request_id
from scow.client._oci_layout import archive as layout_archive
from scow.client._options import platform_of
from scow.contract.errors import DataLoss

Format = Literal["docker-archive", "oci-archive"]
_Images = list[archive_pb.LoadedImage]
_FORMATS = {
    "docker-archive": archive_pb.SaveRequest.FORMAT_DOCKER_ARCHIVE,
    "oci-archive": archive_pb.SaveRequest.FORMAT_OCI_ARCHIVE,
}


class AsyncArchives:
    """The part of `AsyncImages` that has to do with archives."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    def save_stream(
        self,
        images: str | Iterable[str],
        *,
        format: Format = "docker-archive",  # noqa: A002  the natural word
        platform: str = "",
        timeout: float | None = None,
    ) -> AsyncStream[archive_pb.SaveResponse]:
        """Return an archive of images as a stream of messages, each with a `chunk` of at most about 1 MiB.

        Args:
            images: References, ids, digest references; a name without a tag means all its tags.
                An image has in the archive the references by which it is named here.
            format: "docker-archive" is what `docker load` reads, and an OCI layout as well; "oci-archive" is
                the layout alone.
            platform: "linux/arm64": only this image of an index that is kept whole; empty means all of it.
            timeout: Seconds for all of it.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference, PlatformNotFound: See `scow.contract.errors`.
            ContentMissing: A part of an image is not here.

        Example::

            async with client.images.save_stream("nginx") as archive:
                async for message in archive:
                    send(message.chunk)
        """
        names = [images] if isinstance(images, str) else images
        request = archive_pb.SaveRequest(images=names, format=_FORMATS[format])
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        return self._service.stream(
            "ArchiveService/Save", request, archive_pb.SaveResponse, timeout, lambda _: None
        )

    async def save(
        self,
        images: str | Iterable[str],
        target: Place,
        *,
        format: Format = "docker-archive",  # noqa: A002  the natural word
        platform: str = "",
        timeout: float | None = None,
    ) -> None:
        """Write an archive of images; the other arguments and errors are those of `save_stream`.

        Args:
            images: As of `save_stream`.
            target: Path or open binary file. A file at the path is replaced when the archive is complete.
            format: As of `save_stream`.
            platform: As of `save_stream`.
            timeout: Seconds for all of it.

        Raises:
            OSError: The target cannot be written.

        Example::

            await client.images.save(["nginx", "redis:7"], "images.tar")
        """
        stream = self.save_stream(images, format=format, platform=platform, timeout=timeout)
        async with stream:
            await write_to(stream, target)

    def load_progress(
        self, source: BinaryIO, *, platform: str = "", timeout: float | None = None
    ) -> AsyncStream[archive_pb.LoadResponse]:
        """Store the images of an archive, and tell the progress of each layer; the last message has the images.

        Closing the iterator gives the load up, and nothing of the archive stays.

        Args:
            source: Open binary file: a Docker archive or an OCI layout as a tar, plain or compressed with gzip,
                zstd, xz or bzip2.
            platform: "linux/arm64": only images of this platform; empty means all that the archive has.
            timeout: Seconds for all of it.

        Raises:
            InvalidArchive: It is no archive of images, is cut short, or has an entry that leads out of it.
            DigestMismatch, LayerCorrupt, InvalidManifest: It contradicts itself.
            PlatformNotFound: It has no image of the platform.
            LimitExceeded, DiskFull: See `scow.contract.errors`.
            OSError: The source cannot be read.

        Example::

            with open("images.tar", "rb") as file:
                async with client.images.load_progress(file) as progress:
                    async for message in progress:
                        print(message.layer.digest, message.layer.phase)
        """
        opened = archive_pb.LoadRequest.Open(request_id=request_id())
        if platform:
            opened.platform.CopyFrom(platform_of(platform))
        upload = Upload(
            archive_pb.LoadRequest(open=opened),
            source,
            lambda chunk: archive_pb.LoadRequest(chunk=chunk),
        )
        return self._service.exchange(
            "ArchiveService/Load",
            upload.requests(),
            archive_pb.LoadResponse,
            timeout,
            lambda: upload.failure,
        )

    async def load(
        self, source: Place, *, platform: str = "", timeout: float | None = None
    ) -> _Images:
        """Store the images of an archive and return their ids and names; errors are those of `load_progress`.

        Args:
            source: Path or open binary file.
            platform: As of `load_progress`.
            timeout: Seconds for all of it.

        Example::

            for image in await client.images.load("images.tar"):
                print(image.id, image.references)
        """
        with opened_file(source) as file:
            progress = self.load_progress(file, platform=platform, timeout=timeout)
            async with progress:
                async for message in progress:
                    if message.WhichOneof("message") == "result":
                        return [*message.result.images]
        raise DataLoss("the load ended without a result", what="archive", do="load it again")

    async def load_layout(
        self,
        folder: str | os.PathLike[str],
        *,
        tag: str = "",
        digest: str = "",
        timeout: float | None = None,
    ) -> _Images:
        """Store an image of a folder with an OCI image layout; its names there do not count here.

        Args:
            folder: The layout.
            tag: Of the image in it; where neither tag nor digest is given, "latest", or the only image.
            digest: Of its manifest or index.
            timeout: Seconds for all of it.

        Raises:
            InvalidArchive: It is no layout, or has no such image.
            OSError: A file cannot be read.
            ScowError: As of `load`.

        Example::

            (image,) = await client.images.load_layout("layout", tag="1.2")
        """
        with layout_archive(os.fspath(folder), tag, digest) as file:
            return await self.load(file, timeout=timeout)

    async def import_tar(
        self,
        source: Place,
        reference: str = "",
        *,
        message: str = "",
        changes: Iterable[str] = (),
        platform: str = "",
        timeout: float | None = None,
    ) -> pb.Image:
        """Make an image of one layer from a tar of a root file system.

        Args:
            source: Path or open binary file: plain, or compressed with gzip, zstd, xz or bzip2.
            reference: For the image; empty leaves it without.
            message: Comment of the image.
            changes: Dockerfile instructions, 'CMD ["sh"]'.
            platform: "linux/arm64"; empty means the host's.
            timeout: Seconds.

        Raises:
            InvalidArchive: The tar cannot be read or reaches outside of its root.
            InvalidArgument: A change that is not supported.
            OSError: The source cannot be read.

        Example::

            image = await client.images.import_tar("rootfs.tar", "base", changes=['CMD ["sh"]'])
        """
        opened = _open(reference, message, changes, platform)
        with opened_file(source) as file:
            return await self._import(opened, file, timeout)

    async def import_url(
        self,
        url: str,
        reference: str = "",
        *,
        message: str = "",
        changes: Iterable[str] = (),
        platform: str = "",
        timeout: float | None = None,
    ) -> pb.Image:
        """Make an image of a tar that the service fetches; the other arguments and errors are those of `import_tar`.

        Args:
            url: "http://..." or "https://...".
            reference: As of `import_tar`.
            message: As of `import_tar`.
            changes: As of `import_tar`.
            platform: As of `import_tar`.
            timeout: Seconds.

        Raises:
            SourceUnavailable: It cannot be fetched.

        Example::

            image = await client.images.import_url("https://example.com/rootfs.tar.xz", "base")
        """
        opened = _open(reference, message, changes, platform)
        opened.url = url
        return await self._import(opened, None, timeout)

    async def _import(
        self, opened: pb.ImportRequest.Open, file: BinaryIO | None, timeout: float | None
    ) -> pb.Image:
        upload = Upload(
            pb.ImportRequest(open=opened), file, lambda chunk: pb.ImportRequest(chunk=chunk)
        )
        try:
            response = await self._service.upload(
                "Import", upload.requests(), pb.ImportResponse, timeout
            )
        except BaseException:  # grpc.aio cancels the call when the requests fail
            if upload.failure is not None:
                raise upload.failure from None
            raise
        return response.image


def _open(
    reference: str, message: str, changes: Iterable[str], platform: str
) -> pb.ImportRequest.Open:
    opened = pb.ImportRequest.Open(
        request_id=request_id(), reference=reference, message=message, changes=changes
    )
    if platform:
        opened.platform.CopyFrom(platform_of(platform))
    return opened
