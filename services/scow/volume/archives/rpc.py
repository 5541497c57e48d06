"""The servicer of archives: a wire shell."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.volume.v1 import archive_pb2 as pb
from scow.api.volume.v1 import archive_pb2_grpc as pb_grpc
from scow.contract.errors import InvalidArgument
from scow.core.requests import Requests
from scow.volume.archives.archives import Archives

Context = grpc.aio.ServicerContext[Any, Any]


class ArchiveServicer(pb_grpc.ArchiveServiceServicer):
    """Serves scow.api.volume.v1.ArchiveService."""

    def __init__(self, archives: Archives, requests: Requests) -> None:
        self._archives = archives
        self._requests = requests

    async def Export(
        self, request: pb.ExportRequest, context: Context
    ) -> AsyncIterator[pb.ExportResponse]:
        """Stream a tar of what a volume or a snapshot has."""
        async with contextlib.aclosing(self._archives.export(request)) as tar:
            async for chunk in tar:
                yield pb.ExportResponse(chunk=chunk)

    async def Import(
        self, request_iterator: AsyncIterator[pb.ImportRequest], context: Context
    ) -> pb.ImportResponse:
        """Make a volume of a tar."""
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("open"):
            raise InvalidArgument(
                "an import starts with what to make", what="message", do="send `open` first"
            )
        opened = first.open

        async def chunks() -> AsyncIterator[bytes]:
            async for message in request_iterator:
                yield message.chunk

        return await self._requests.once(
            "Import",
            opened,
            pb.ImportResponse,
            lambda: self._archives.import_tar(opened, chunks()),
        )
