"""The servicer of files: a wire shell around what reads and writes them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.container.v1 import files_pb2 as pb
from scow.api.container.v1 import files_pb2_grpc as pb_grpc
from scow.container.files.copies import Copies
from scow.container.files.diff import Diffs
from scow.contract.errors import InvalidArgument

Context = grpc.aio.ServicerContext[Any, Any]


class FilesServicer(pb_grpc.FilesServiceServicer):
    """Serves scow.api.container.v1.FilesService."""

    def __init__(self, diffs: Diffs, copies: Copies) -> None:
        self._diffs = diffs
        self._copies = copies

    async def Diff(
        self, request: pb.DiffRequest, context: Context
    ) -> AsyncIterator[pb.DiffResponse]:
        """Stream what a container changed."""
        async with contextlib.aclosing(self._diffs.diff(request.container)) as messages:
            async for message in messages:
                yield message

    async def StatPath(self, request: pb.StatPathRequest, context: Context) -> pb.StatPathResponse:
        """Tell what a path leads to."""
        return pb.StatPathResponse(stat=await self._copies.stat(request))

    async def CopyOut(
        self, request: pb.CopyOutRequest, context: Context
    ) -> AsyncIterator[pb.CopyOutResponse]:
        """Stream what a path leads to."""
        async with contextlib.aclosing(self._copies.out(request)) as messages:
            async for message in messages:
                yield message

    async def CopyIn(
        self, request_iterator: AsyncIterator[pb.CopyInRequest], context: Context
    ) -> pb.CopyInResponse:
        """Write the entries of a tar into a directory."""
        requests = aiter(request_iterator)
        first = await anext(requests, None)
        if first is None or not first.HasField("open"):
            raise InvalidArgument(
                "a copy starts with where it goes", what="message", do="send `open` first"
            )

        async def chunks() -> AsyncIterator[bytes]:
            async for message in requests:
                yield message.chunk

        return await self._copies.into(first.open, chunks())
