"""The servicer: a wire shell around images, pulls and imports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import image_pb2_grpc as pb_grpc
from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.errors import InvalidArgument
from scow.core.journal import Journal
from scow.core.owners import unknown_owners
from scow.core.paging import descending, page
from scow.core.peers import Peers
from scow.core.requests import Requests
from scow.core.times import from_proto
from scow.image.images import Images
from scow.image.importing import Importer
from scow.image.platforms import Platform, canonical, host
from scow.image.pull import Asked, Puller
from scow.image.reference import Reference
from scow.image.registry.credentials import Credentials

Context = grpc.aio.ServicerContext[Any, Any]


class ImageServicer(pb_grpc.ImageServiceServicer):
    """Serves scow.api.image.v1."""

    def __init__(
        self,
        images: Images,
        puller: Puller,
        importer: Importer,
        journal: Journal,
        requests: Requests,
        peers: Peers,
        ingest_keep_seconds: float,
    ) -> None:
        self._images = images
        self._puller = puller
        self._importer = importer
        self._journal = journal
        self._requests = requests
        self._peers = peers
        self._ingest_keep_seconds = ingest_keep_seconds

    async def Pull(
        self, request: pb.PullRequest, context: Context
    ) -> AsyncIterator[pb.PullResponse]:
        """Fetch an image from its registry. Pulling again is harmless, so `request_id` needs no record."""
        reference = Reference.parse(request.reference)
        platform = _platform(request.platform) if request.HasField("platform") else None
        credentials = Credentials.of(request.auth)
        asked = Asked(reference, platform, request.all_platforms, credentials)
        async for news in self._puller.pull(asked):
            if isinstance(news, str):
                image = self._images.describe(self._images.find(news))
                yield pb.PullResponse(image=image)
            else:
                yield news

    async def Import(
        self, request_iterator: AsyncIterator[pb.ImportRequest], context: Context
    ) -> pb.ImportResponse:
        """Make an image of a tar."""
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("open"):
            raise InvalidArgument(
                "an import starts with what to make", what="message", do="send `open` first"
            )
        opened = first.open
        reference = Reference.parse(opened.reference) if opened.reference else None
        platform = _platform(opened.platform) if opened.HasField("platform") else host()

        async def chunks() -> AsyncIterator[bytes]:
            async for message in request_iterator:
                yield message.chunk

        async def make() -> pb.ImportResponse:
            image_id = await self._importer.import_tar(opened, reference, platform, chunks())
            return pb.ImportResponse(image=self._images.describe(self._images.find(image_id)))

        return await self._requests.once("Import", opened, pb.ImportResponse, make)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Describe one image."""
        return pb.GetResponse(image=self._images.describe(self._images.find(request.image)))

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Describe all images."""
        items, token = page(
            self._images.select(request.filters),
            request.page_size,
            request.page_token,
            key=lambda image: descending(from_proto(image.created_at), image.id),
        )
        return pb.ListResponse(images=items, next_page_token=token)

    async def Tag(self, request: pb.TagRequest, context: Context) -> pb.TagResponse:
        """Give an image a further name."""

        async def tag() -> pb.TagResponse:
            self._images.tag(request.image, request.reference)
            return pb.TagResponse()

        return await self._requests.once("Tag", request, pb.TagResponse, tag)

    async def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:
        """Drop a name, and the image with the last one."""

        async def remove() -> pb.RemoveResponse:
            return await self._images.remove(request.image, request.force)

        return await self._requests.once("Remove", request, pb.RemoveResponse, remove)

    async def Prepare(self, request: pb.PrepareRequest, context: Context) -> pb.PrepareResponse:
        """Make a writable snapshot for an owner."""
        platform = _platform(request.platform) if request.HasField("platform") else None
        image, mounts = await self._images.prepare(request.image, request.owner, platform)
        return pb.PrepareResponse(image=image, mounts=mounts, driver=self._images.driver)

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseResponse:
        """Give an owner's snapshot back."""
        await self._images.release(request.owner)
        return pb.ReleaseResponse()

    async def Usage(self, request: pb.UsageRequest, context: Context) -> pb.UsageResponse:
        """Count the bytes of an owner's snapshot."""
        size, inodes = await self._images.usage(request.owner)
        return pb.UsageResponse(size=size, inodes=inodes)

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Context
    ) -> pb.ReconcileResponse:
        """Compare records with folders and owners now."""
        return pb.ReconcileResponse(actions=await self.reconcile())

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Replay the journal, then follow it."""
        async for response in self._journal.watch(request, pb.WatchResponse):
            yield response

    async def reconcile(self) -> list[ReconcileAction]:
        """Compare records with folders and owners."""
        gone = await unknown_owners(self._peers, self._images.owners())
        busy = self._puller.ingesting | self._importer.ingesting
        return await self._images.reconcile(gone, busy, self._ingest_keep_seconds)


def _platform(message: PlatformMessage) -> Platform:
    return canonical(message.os, message.architecture, message.variant)
