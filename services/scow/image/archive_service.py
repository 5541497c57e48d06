"""The servicer of archives: a wire shell around loading, saving and committing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.image.v1 import archive_pb2 as pb
from scow.api.image.v1 import archive_pb2_grpc as pb_grpc
from scow.core.errors import Unimplemented
from scow.core.requests import Requests, remember
from scow.image.committing import Committer
from scow.image.images import Images
from scow.image.reference import Reference

Context = grpc.aio.ServicerContext[Any, Any]


class ArchiveServicer(pb_grpc.ArchiveServiceServicer):
    """Serves scow.api.image.v1.ArchiveService."""

    def __init__(self, images: Images, committer: Committer, requests: Requests) -> None:
        self._images = images
        self._committer = committer
        self._requests = requests

    async def Load(
        self, request_iterator: AsyncIterator[pb.LoadRequest], context: Context
    ) -> AsyncIterator[pb.LoadResponse]:
        """Store the images of an archive."""
        raise Unimplemented("this service does not load", what="method", which="Load")
        yield

    async def Save(
        self, request: pb.SaveRequest, context: Context
    ) -> AsyncIterator[pb.SaveResponse]:
        """Stream an archive of images."""
        raise Unimplemented("this service does not save", what="method", which="Save")
        yield

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
