"""The servicer of ArtifactService: a wire shell around artifacts at registries."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.image.v1 import artifact_pb2 as pb
from scow.api.image.v1 import artifact_pb2_grpc as pb_grpc
from scow.contract.errors import InvalidArgument
from scow.image.content.digests import digest_of, is_digest
from scow.image.oci.reference import Reference
from scow.image.registry_client.credentials import Credentials
from scow.image.transfer.artifacts import Artifacts

Context = grpc.aio.ServicerContext[Any, Any]


class ArtifactServicer(pb_grpc.ArtifactServiceServicer):
    """Serves scow.api.image.v1.ArtifactService."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def GetArtifact(
        self, request: pb.GetArtifactRequest, context: Context
    ) -> pb.GetArtifactResponse:
        """Get a manifest or index."""
        reference = Reference.parse(request.reference)
        content, media_type = await self._artifacts.get(reference, Credentials.of(request.auth))
        return pb.GetArtifactResponse(
            content=content, media_type=media_type, digest=digest_of(content)
        )

    async def PutArtifact(
        self, request: pb.PutArtifactRequest, context: Context
    ) -> pb.PutArtifactResponse:
        """Give a repository a manifest or index."""
        digest = await self._artifacts.put(
            Reference.parse(request.reference),
            Credentials.of(request.auth),
            request.content,
            request.media_type,
            untagged=request.untagged,
        )
        return pb.PutArtifactResponse(digest=digest)

    async def GetBlob(self, request: pb.GetBlobRequest, context: Context) -> pb.GetBlobResponse:
        """Get a blob."""
        content = await self._artifacts.get_blob(
            Reference.parse(request.reference),
            Credentials.of(request.auth),
            _digest(request.digest),
            request.size,
        )
        return pb.GetBlobResponse(content=content)

    async def PutBlob(self, request: pb.PutBlobRequest, context: Context) -> pb.PutBlobResponse:
        """Give a repository a blob."""
        digest, existed = await self._artifacts.put_blob(
            Reference.parse(request.reference), Credentials.of(request.auth), request.content
        )
        return pb.PutBlobResponse(digest=digest, existed=existed)

    async def HasBlob(self, request: pb.HasBlobRequest, context: Context) -> pb.HasBlobResponse:
        """Tell whether a repository has a blob."""
        reference = Reference.parse(request.reference)
        exists = await self._artifacts.has_blob(
            reference, Credentials.of(request.auth), _digest(request.digest)
        )
        return pb.HasBlobResponse(exists=exists)

    async def DeleteArtifact(
        self, request: pb.DeleteArtifactRequest, context: Context
    ) -> pb.DeleteArtifactResponse:
        """Delete a manifest or index."""
        reference = Reference.parse(request.reference)
        await self._artifacts.delete(
            reference, Credentials.of(request.auth), _digest(request.digest)
        )
        return pb.DeleteArtifactResponse()


def _digest(text: str) -> str:
    if not is_digest(text):
        raise InvalidArgument(
            f"{text[:100]!r} is not a digest", what="digest", which=text, do='give "sha256:..."'
        )
    return text
