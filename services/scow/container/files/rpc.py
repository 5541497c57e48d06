"""The servicer of files: a wire shell around what reads and writes them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.container.v1 import files_pb2 as pb
from scow.api.container.v1 import files_pb2_grpc as pb_grpc
from scow.container.files.diff import Diffs

Context = grpc.aio.ServicerContext[Any, Any]


class FilesServicer(pb_grpc.FilesServiceServicer):
    """Serves scow.api.container.v1.FilesService."""

    def __init__(self, diffs: Diffs) -> None:
        self._diffs = diffs

    async def Diff(
        self, request: pb.DiffRequest, context: Context
    ) -> AsyncIterator[pb.DiffResponse]:
        """Stream what a container changed."""
        async with contextlib.aclosing(self._diffs.diff(request.container)) as messages:
            async for message in messages:
                yield message
