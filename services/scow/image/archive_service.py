"""The servicer of archives: a wire shell around loading, saving and committing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.image.v1 import archive_pb2 as pb
from scow.api.image.v1 import archive_pb2_grpc as pb_grpc
from scow.core.errors import Unimplemented

Context = grpc.aio.ServicerContext[Any, Any]


class ArchiveServicer(pb_grpc.ArchiveServiceServicer):
    """Serves scow.api.image.v1.ArchiveService."""

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
        raise Unimplemented("this service does not commit", what="method", which="Commit")
