"""The image service, as containers need it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.image.v1 import archive_pb2, image_pb2, layer_pb2
from scow.contract.errors import ImageNotFound
from scow.core.peers import Peers, translated
from scow.core.retry import ask


class Images:
    """Images and snapshots. Every call is made again while the service does not answer (see `retry`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def prepare(self, owner: str, config: ContainerConfig) -> image_pb2.PrepareResponse:
        """Make a writable snapshot of an image for an owner, or return the one that it has."""
        request = image_pb2.PrepareRequest(image=config.image, owner=owner)
        if config.HasField("platform"):
            request.platform.CopyFrom(config.platform)
        return await ask("image", lambda: self._peers.image.Prepare(request))

    async def prepare_mount(self, owner: str, image: str) -> image_pb2.PrepareResponse:
        """Make a snapshot of an image that is mounted beside a container's own."""
        request = image_pb2.PrepareRequest(image=image, owner=owner)
        return await ask("image", lambda: self._peers.image.Prepare(request))

    async def release(self, owner: str) -> None:
        """Delete an owner's snapshot; it is not an error when there is none."""
        request = image_pb2.ReleaseRequest(owner=owner)
        await ask("image", lambda: self._peers.image.Release(request))

    async def get(self, image: str) -> image_pb2.Image:
        """Describe an image.

        Raises:
            ImageNotFound: There is no such image.
        """
        request = image_pb2.GetRequest(image=image)
        return (await ask("image", lambda: self._peers.image.Get(request))).image

    async def find(self, image: str) -> image_pb2.Image | None:
        """Describe an image, or return None when there is no such image."""
        with contextlib.suppress(ImageNotFound):
            return await self.get(image)
        return None

    async def usage(self, owner: str) -> int:
        """Return how many bytes an owner's snapshot takes beyond its image."""
        request = image_pb2.UsageRequest(owner=owner)
        return (await ask("image", lambda: self._peers.image.Usage(request))).size

    async def commit(self, request: archive_pb2.CommitRequest) -> image_pb2.Image:
        """Make an image of an owner's snapshot."""
        return (await ask("image", lambda: self._peers.archive.Commit(request))).image

    async def changes(self, owner: str) -> AsyncGenerator[layer_pb2.ListChangesResponse, None]:
        """Give what an owner changed in its snapshot."""
        request = layer_pb2.ListChangesRequest(owner=owner)
        with translated("image"):
            async for message in self._peers.layer.ListChanges(request):
                yield message
