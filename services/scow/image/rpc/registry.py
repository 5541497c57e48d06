"""The servicer of RegistryService: a wire shell around pushes, logins, searches and indexes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from scow.api.image.v1 import registry_pb2 as pb
from scow.api.image.v1 import registry_pb2_grpc as pb_grpc
from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.core.requests import Requests
from scow.image.catalog.search import Searcher
from scow.image.create.index import Indexer, Said
from scow.image.oci.platforms import Platform, canonical
from scow.image.oci.reference import Reference, parse_domain
from scow.image.registry_client import catalogue
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials
from scow.image.transfer.push import Pusher
from scow.image.transfer.remote import RemoteManifests

Context = grpc.aio.ServicerContext[Any, Any]


class RegistryServicer(pb_grpc.RegistryServiceServicer):
    """Serves scow.api.image.v1.RegistryService."""

    def __init__(
        self,
        registries: Registries,
        pusher: Pusher,
        searcher: Searcher,
        elsewhere: RemoteManifests,
        indexer: Indexer,
        requests: Requests,
    ) -> None:
        self._registries = registries
        self._pusher = pusher
        self._searcher = searcher
        self._elsewhere = elsewhere
        self._indexer = indexer
        self._requests = requests

    async def Push(
        self, request: pb.PushRequest, context: Context
    ) -> AsyncIterator[pb.PushResponse]:
        """Send an image or index. Pushing again is harmless, so `request_id` needs no record."""
        reference = Reference.parse(request.reference)
        platform = _platform(request.platform) if request.HasField("platform") else None
        credentials = Credentials.of(request.auth)
        async for message in self._pusher.push(reference, platform, credentials):
            yield message

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.LoginResponse:
        """Check credentials."""
        domain = parse_domain(request.server)
        token = await self._registries.login(domain, Credentials.of(request.auth))
        return pb.LoginResponse(identity_token=token)

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """Look for repositories."""
        credentials = Credentials.of(request.auth)
        results = await self._searcher.search(
            request.term, request.limit, request.filters, credentials
        )
        return pb.SearchResponse(results=results)

    async def ListTags(self, request: pb.ListTagsRequest, context: Context) -> pb.ListTagsResponse:
        """List the tags of a repository."""
        reference = Reference.parse(request.repository)
        credentials = Credentials.of(request.auth)
        session = self._registries.origin(reference.domain, credentials, reference.path)
        return pb.ListTagsResponse(tags=await catalogue.tags(session))

    async def GetManifest(
        self, request: pb.GetManifestRequest, context: Context
    ) -> pb.GetManifestResponse:
        """Look at a manifest."""
        reference = Reference.parse(request.reference)
        platform = _platform(request.platform) if request.HasField("platform") else None
        return await self._elsewhere.get(reference, platform, Credentials.of(request.auth))

    async def CreateIndex(
        self, request: pb.CreateIndexRequest, context: Context
    ) -> pb.CreateIndexResponse:
        """Make an index."""
        reference = Reference.parse(request.reference)
        sources = [Reference.parse(each) for each in request.manifests]

        async def create() -> pb.CreateIndexResponse:
            credentials = Credentials.of(request.auth)
            said = None
            if request.HasField("platform"):
                said = Said(request.platform, request.os_version, request.os_features)
            digest = await self._indexer.create(
                reference, sources, credentials, amend=request.amend, said=said
            )
            return pb.CreateIndexResponse(reference=str(reference), digest=digest)

        return await self._requests.once("CreateIndex", request, pb.CreateIndexResponse, create)


def _platform(message: PlatformMessage) -> Platform:
    return canonical(message.os, message.architecture, message.variant)
