"""The servicer: a wire shell around images, pulls and imports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import image_pb2_grpc as pb_grpc
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import InvalidArgument
from scow.core.journal import Journal
from scow.core.requests import Requests
from scow.image.catalog.images import Images
from scow.image.catalog.lists import Lists, Selection
from scow.image.catalog.removal import Removal, Removed
from scow.image.create.tar_import import Importer
from scow.image.oci.platforms import host, platform_of
from scow.image.oci.reference import Reference
from scow.image.registry_client.credentials import Credentials
from scow.image.snapshots.owners import Snapshots
from scow.image.transfer.pull import Asked, Puller

Context = grpc.aio.ServicerContext[Any, Any]


class ImageServicer(pb_grpc.ImageServiceServicer):
    """Serves scow.api.image.v1."""

    def __init__(
        self,
        images: Images,
        lists: Lists,
        removal: Removal,
        snapshots: Snapshots,
        puller: Puller,
        importer: Importer,
        journal: Journal,
        requests: Requests,
        reconcile: Callable[[], Awaitable[list[ReconcileAction]]],
    ) -> None:
        self._images = images
        self._lists = lists
        self._removal = removal
        self._snapshots = snapshots
        self._puller = puller
        self._importer = importer
        self._journal = journal
        self._requests = requests
        self._reconcile = reconcile

    async def Pull(
        self, request: pb.PullRequest, context: Context
    ) -> AsyncIterator[pb.PullResponse]:
        """Fetch an image from its registry. Pulling again is harmless, so `request_id` needs no record."""
        reference = Reference.parse(request.reference)
        platform = platform_of(request.platform) if request.HasField("platform") else None
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
        platform = platform_of(opened.platform) if opened.HasField("platform") else host()

        async def chunks() -> AsyncIterator[bytes]:
            async for message in request_iterator:
                yield message.chunk

        async def make() -> pb.ImportResponse:
            image_id = await self._importer.import_tar(opened, reference, platform, chunks())
            return pb.ImportResponse(image=self._images.describe(self._images.find(image_id)))

        return await self._requests.once("Import", opened, pb.ImportResponse, make)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Describe one image, with its documents and its history."""
        platform = platform_of(request.platform) if request.HasField("platform") else None
        return self._images.details(request.image, platform)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Describe all images."""
        asked = Selection(
            request.filters, request.page_size, request.page_token, request.sizes, request.all
        )
        items, token = self._lists.select(asked)
        return pb.ListResponse(images=items, next_page_token=token)

    async def Tag(self, request: pb.TagRequest, context: Context) -> pb.TagResponse:
        """Give an image a further name."""

        async def tag() -> None:
            self._images.tag(request.image, request.reference)

        return await self._requests.once("Tag", request, pb.TagResponse, tag)

    async def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:
        """Drop a name, and the image with the last one."""

        async def remove() -> Removed:
            return await self._removal.remove(request.image, request.force)

        return await self._requests.once(
            "Remove",
            request,
            pb.RemoveResponse,
            remove,
            lambda gone: pb.RemoveResponse(untagged=gone.untagged, deleted=gone.deleted),
        )

    async def Prepare(self, request: pb.PrepareRequest, context: Context) -> pb.PrepareResponse:
        """Make a writable snapshot for an owner."""
        platform = platform_of(request.platform) if request.HasField("platform") else None
        image, mounts = await self._snapshots.prepare(request.image, request.owner, platform)
        return pb.PrepareResponse(image=image, mounts=mounts, driver=self._snapshots.driver)

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseResponse:
        """Give an owner's snapshot back."""
        await self._snapshots.release(request.owner)
        return pb.ReleaseResponse()

    async def Usage(self, request: pb.UsageRequest, context: Context) -> pb.UsageResponse:
        """Count the bytes of an owner's snapshot."""
        size, inodes = await self._snapshots.usage(request.owner)
        return pb.UsageResponse(size=size, inodes=inodes)

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Context
    ) -> pb.ReconcileResponse:
        """Compare records with folders and owners now."""
        return pb.ReconcileResponse(actions=await self._reconcile())

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Replay the journal, then follow it."""
        async for response in self._journal.watch(request, pb.WatchResponse):
            yield response
