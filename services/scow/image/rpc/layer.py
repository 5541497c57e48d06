"""The servicer of layers: a wire shell around making and reading them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.image.v1 import layer_pb2 as pb
from scow.api.image.v1 import layer_pb2_grpc as pb_grpc
from scow.contract.errors import InvalidArgument
from scow.core.requests import Requests, remember
from scow.image.catalog.images import Images
from scow.image.content.buffers import streaming
from scow.image.content.digests import digest_of
from scow.image.create.attested import AttestedImages
from scow.image.create.layers import LayerMaker
from scow.image.layers.diff.changes import Changes
from scow.image.oci.platforms import platform_of
from scow.image.oci.reference import Reference
from scow.image.stacks.reader import StackReader

Context = grpc.aio.ServicerContext[Any, Any]


class LayerServicer(pb_grpc.LayerServiceServicer):
    """Serves scow.api.image.v1.LayerService."""

    def __init__(
        self,
        images: Images,
        maker: LayerMaker,
        attested: AttestedImages,
        reader: StackReader,
        changes: Changes,
        requests: Requests,
    ) -> None:
        self._images = images
        self._maker = maker
        self._attested = attested
        self._reader = reader
        self._changes = changes
        self._requests = requests

    async def GetStack(self, request: pb.GetStackRequest, context: Context) -> pb.GetStackResponse:
        """Tell the layers of an image."""
        platform = platform_of(request.platform) if request.HasField("platform") else None
        return self._maker.stack(request.image, platform)

    async def WriteLayer(
        self, request_iterator: AsyncIterator[pb.WriteLayerRequest], context: Context
    ) -> pb.WriteLayerResponse:
        """Make a layer of a tar."""
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("open"):
            raise InvalidArgument(
                "a layer starts with what is said of it", what="message", do="send `open` first"
            )

        async def chunks() -> AsyncIterator[bytes]:
            async for message in request_iterator:
                yield message.chunk

        with streaming():
            return await self._maker.write(first.open, chunks())

    async def CommitLayer(
        self, request: pb.CommitLayerRequest, context: Context
    ) -> pb.CommitLayerResponse:
        """Make a layer of what an owner changed."""

        async def commit() -> pb.CommitLayerResponse:
            return await self._maker.commit(request)

        return await self._requests.once("CommitLayer", request, pb.CommitLayerResponse, commit)

    async def FindLayers(
        self, request: pb.FindLayersRequest, context: Context
    ) -> pb.FindLayersResponse:
        """Tell which layers are here."""
        return pb.FindLayersResponse(diff_ids=self._maker.find(request.diff_ids))

    async def MakeImage(
        self, request: pb.MakeImageRequest, context: Context
    ) -> pb.MakeImageResponse:
        """Record an image of layers."""
        references = [Reference.parse(text) for text in request.references]

        def response(image: str) -> pb.MakeImageResponse:
            return pb.MakeImageResponse(image=self._images.describe(self._images.find(image)))

        def recorded(tx: sqlite3.Connection, image: str) -> None:
            remember(tx, response(image))

        async def make() -> pb.MakeImageResponse:
            return response(await self._maker.make_image(request, references, recorded))

        return await self._requests.once("MakeImage", request, pb.MakeImageResponse, make)

    async def MakeIndex(
        self, request: pb.MakeIndexRequest, context: Context
    ) -> pb.MakeIndexResponse:
        """Record an index of images with what is said about them."""
        references = [Reference.parse(text) for text in request.references]

        def response(image: str) -> pb.MakeIndexResponse:
            described = self._images.describe(self._images.find(image))
            return pb.MakeIndexResponse(digest=digest_of(request.index), image=described)

        def recorded(tx: sqlite3.Connection, image: str | None) -> None:
            if image is not None:
                remember(tx, response(image))

        async def make() -> pb.MakeIndexResponse:
            return response(await self._attested.make(request, references, recorded))

        return await self._requests.once("MakeIndex", request, pb.MakeIndexResponse, make)

    async def ReadManifest(
        self, request: pb.ReadManifestRequest, context: Context
    ) -> pb.ReadManifestResponse:
        """Return a manifest or index."""
        return pb.ReadManifestResponse(manifest=self._attested.manifest(request.digest))

    async def GetAttestations(
        self, request: pb.GetAttestationsRequest, context: Context
    ) -> pb.GetAttestationsResponse:
        """Return what is said about an image."""
        if request.HasField("platform"):
            image = self._images.find_for(request.image, platform_of(request.platform))
        else:
            image = self._images.find(request.image)
        found = await self._attested.read(request.image, image)
        return pb.GetAttestationsResponse(attestations=found)

    async def LookUp(self, request: pb.LookUpRequest, context: Context) -> pb.LookUpResponse:
        """Tell what paths of a stack lead to."""
        return await self._reader.look_up(request)

    async def ReadTree(
        self, request: pb.ReadTreeRequest, context: Context
    ) -> AsyncIterator[pb.ReadTreeResponse]:
        """Stream files of a stack."""
        with streaming():
            async for message in self._reader.read(request):
                yield message

    async def ListChanges(
        self, request: pb.ListChangesRequest, context: Context
    ) -> AsyncIterator[pb.ListChangesResponse]:
        """Stream what an owner changed in its snapshot."""
        async with contextlib.aclosing(self._changes.list(request.owner)) as messages:
            async for message in messages:
                yield message
