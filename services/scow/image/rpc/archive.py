"""The servicer of archives: a wire shell around loading, saving and committing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.image.v1 import archive_pb2 as pb
from scow.api.image.v1 import archive_pb2_grpc as pb_grpc
from scow.contract.errors import InvalidArgument
from scow.core.flights import cancel
from scow.core.requests import Requests, remember
from scow.image.archives.load import Loader
from scow.image.archives.save import Saver
from scow.image.catalog.images import Images
from scow.image.content.buffers import streaming
from scow.image.create.commit import Committer
from scow.image.oci.platforms import platform_of
from scow.image.oci.reference import Reference
from scow.image.transfer.progress import Progress, telling

Context = grpc.aio.ServicerContext[Any, Any]


class ArchiveServicer(pb_grpc.ArchiveServiceServicer):
    """Serves scow.api.image.v1.ArchiveService."""

    def __init__(
        self,
        images: Images,
        committer: Committer,
        loader: Loader,
        saver: Saver,
        requests: Requests,
    ) -> None:
        self._images = images
        self._committer = committer
        self._loader = loader
        self._saver = saver
        self._requests = requests

    async def Load(
        self, request_iterator: AsyncIterator[pb.LoadRequest], context: Context
    ) -> AsyncIterator[pb.LoadResponse]:
        """Store the images of an archive. Loading again is harmless, so `request_id` needs no record."""
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("open"):
            raise InvalidArgument(
                "loading starts with what to load", what="message", do="send `open` first"
            )
        opened = first.open
        platform = platform_of(opened.platform) if opened.HasField("platform") else None

        async def chunks() -> AsyncIterator[bytes]:
            async for message in request_iterator:
                yield message.chunk

        progress = Progress()
        with streaming():
            loading = asyncio.create_task(self._loader.load(platform, chunks(), progress))
            try:
                async for response in telling(loading, progress, pb.LoadResponse):
                    yield response
                yield pb.LoadResponse(result=pb.LoadResult(images=loading.result()))
            finally:
                await cancel(loading)

    async def Save(
        self, request: pb.SaveRequest, context: Context
    ) -> AsyncIterator[pb.SaveResponse]:
        """Stream an archive of images."""
        platform = platform_of(request.platform) if request.HasField("platform") else None
        docker = request.format != pb.SaveRequest.FORMAT_OCI_ARCHIVE
        if not request.images:
            raise InvalidArgument("no image to save", what="images", do="name one or several")
        saving = self._saver.save(request.images, platform, docker=docker)
        with streaming():
            async with contextlib.aclosing(saving) as chunks:
                async for chunk in chunks:
                    yield pb.SaveResponse(chunk=chunk)

    async def Commit(self, request: pb.CommitRequest, context: Context) -> pb.CommitResponse:
        """Make an image of what an owner changed."""
        reference = Reference.parse(request.reference) if request.reference else None

        def response(image: str) -> pb.CommitResponse:
            return pb.CommitResponse(image=self._images.describe(self._images.find(image)))

        async def commit() -> pb.CommitResponse:
            image = await self._committer.commit(
                request, reference, lambda tx, image: remember(tx, response(image))
            )
            return response(image)

        return await self._requests.once("Commit", request, pb.CommitResponse, commit)
