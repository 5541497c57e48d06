"""The image service, as backups need it: it talks to registries, and this service does not."""

from __future__ import annotations

from dataclasses import dataclass

from scow.api.image.v1 import artifact_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.api.image.v1.registry_pb2 import ListTagsRequest
from scow.core.peers import Peers, translated


@dataclass(frozen=True)
class Repository:
    """A repository, for a caller with credentials.

    Attributes:
        reference: "HOST/NAME:TAG".
        auth: What the registry wants to know.
    """

    peers: Peers
    reference: str
    auth: Auth

    @property
    def name(self) -> str:
        """The reference without its tag and digest."""
        name = self.reference.partition("@")[0]
        folder, slash, last = name.rpartition("/")
        return folder + slash + last.partition(":")[0]

    async def manifest(self, digest: str = "") -> bytes:
        """Get the manifest that the reference names, or one by its digest.

        Raises:
            ManifestNotFound: There is none; and what the image service says about registries.
        """
        reference = f"{self.name}@{digest}" if digest else self.reference
        request = pb.GetArtifactRequest(reference=reference, auth=self.auth)
        with translated("image"):
            return (await self.peers.artifact.GetArtifact(request)).content

    async def put_manifest(self, content: bytes, media_type: str, *, untagged: bool) -> str:
        """Put a manifest; return its digest."""
        request = pb.PutArtifactRequest(
            reference=self.reference,
            auth=self.auth,
            content=content,
            media_type=media_type,
            untagged=untagged,
        )
        with translated("image"):
            return (await self.peers.artifact.PutArtifact(request)).digest

    async def blob(self, digest: str, size: int) -> bytes:
        """Get a blob, verified."""
        request = pb.GetBlobRequest(
            reference=self.reference, auth=self.auth, digest=digest, size=size
        )
        with translated("image"):
            return (await self.peers.artifact.GetBlob(request)).content

    async def put_blob(self, content: bytes) -> str:
        """Put a blob; return its digest."""
        request = pb.PutBlobRequest(reference=self.reference, auth=self.auth, content=content)
        with translated("image"):
            return (await self.peers.artifact.PutBlob(request)).digest

    async def has_blob(self, digest: str) -> bool:
        """Tell whether the repository has a blob."""
        request = pb.HasBlobRequest(reference=self.reference, auth=self.auth, digest=digest)
        with translated("image"):
            return (await self.peers.artifact.HasBlob(request)).exists

    async def tags(self) -> list[str]:
        """Return the tags of the repository."""
        request = ListTagsRequest(repository=self.name, auth=self.auth)
        with translated("image"):
            return [*(await self.peers.registry.ListTags(request)).tags]

    async def named(self, tag: str) -> tuple[str, bytes]:
        """Get the manifest that a tag names; return its digest and its bytes.

        Raises:
            ManifestNotFound: There is none.
        """
        request = pb.GetArtifactRequest(reference=f"{self.name}:{tag}", auth=self.auth)
        with translated("image"):
            answer = await self.peers.artifact.GetArtifact(request)
        return answer.digest, answer.content

    async def delete(self, digest: str) -> None:
        """Delete a manifest, with all of its tags; nothing there is no error."""
        request = pb.DeleteArtifactRequest(reference=self.reference, auth=self.auth, digest=digest)
        with translated("image"):
            await self.peers.artifact.DeleteArtifact(request)
