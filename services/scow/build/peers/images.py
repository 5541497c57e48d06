"""Images by name, as builds need them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from scow.api.image.v1 import archive_pb2, artifact_pb2, image_pb2, registry_pb2
from scow.core.peers import Peers, translated
from scow.core.retry import ask


class Images:
    """Images, one call a method. Errors are those of `scow.contract.errors`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def pull(self, request: image_pb2.PullRequest) -> AsyncIterator[image_pb2.PullResponse]:
        """Fetch an image; the last message has it."""
        with translated("image"):
            async for message in self._peers.image.Pull(request):
                yield message

    async def layers(self) -> set[str]:
        """Return the diff ids of all images' layers."""
        found: set[str] = set()
        request = image_pb2.ListRequest(all=True)
        with translated("image"):
            while True:
                response = await self._peers.image.List(request)
                found.update(d for image in response.images for d in image.diff_ids)
                if not response.next_page_token:
                    return found
                request.page_token = response.next_page_token

    async def save(self, request: archive_pb2.SaveRequest) -> AsyncIterator[bytes]:
        """Give an archive of images."""
        with translated("image"):
            async for message in self._peers.archive.Save(request):
                yield message.chunk

    async def push(
        self, request: registry_pb2.PushRequest
    ) -> AsyncIterator[registry_pb2.PushResponse]:
        """Send an image to its registry."""
        with translated("image"):
            async for message in self._peers.registry.Push(request):
                yield message

    async def put_artifact(self, request: artifact_pb2.PutArtifactRequest) -> str:
        """Give a repository a manifest whose parts it has; return its digest."""
        return (await ask("image", lambda: self._peers.artifact.PutArtifact(request))).digest
