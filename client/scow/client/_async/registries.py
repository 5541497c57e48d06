"""Registries, pulls aside: pushes, logins, searches."""

from __future__ import annotations

from scow.api.image.v1 import registry_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._link import request_id
from scow.client._options import Filters, filters_of, platform_of
from scow.contract.errors import DataLoss


class AsyncRegistries:
    """The part of AsyncImages that talks to registries."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    def push_progress(
        self,
        reference: str,
        *,
        platform: str = "",
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> AsyncStream[pb.PushResponse]:
        """Send an image, or an index with all its images, and tell the progress of each layer.

        The last message has the result. Closing the iterator cancels the push.

        Args:
            reference: Name of the image, which says where it goes.
            platform: "linux/arm64": of an index, this platform's image alone.
            auth: What the registry wants to know.
            timeout: Seconds for all of it.

        Raises:
            ImageNotFound: No image has this name.
            ContentMissing: A part of the index is not here; `which` says which.
            PlatformNotFound: The index has no image for the platform.
            RegistryDenied, RegistryRateLimited, RegistryUnavailable, RegistryRefused: See `scow.contract.errors`.

        Example::

            async with client.images.push_progress("registry.example/web:1") as progress:
                async for message in progress:
                    print(message.layer.current, message.layer.total)
        """
        request = pb.PushRequest(request_id=request_id(), reference=reference, auth=auth)
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        return self._service.stream(
            "RegistryService/Push", request, pb.PushResponse, timeout, lambda _: request
        )

    async def push(
        self,
        reference: str,
        *,
        platform: str = "",
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> pb.PushResult:
        """Send an image and return its digest; arguments and errors are those of `push_progress`.

        Example::

            print((await client.images.push("registry.example/web:1")).digest)
        """
        progress = self.push_progress(reference, platform=platform, auth=auth, timeout=timeout)
        async with progress:
            async for message in progress:
                if message.WhichOneof("message") == "result":
                    return message.result
        raise DataLoss(
            f"the push of {reference} ended without a result",
            what="image",
            which=reference,
            do="push it again",
        )

    async def login(
        self,
        server: str = "",
        *,
        username: str = "",
        password: str = "",
        token: str = "",
        timeout: float | None = None,
    ) -> str:
        """Check credentials with a registry; return the identity token to keep instead of the password, or nothing.

        The engine keeps none: `scow.client.credentials` does.

        Args:
            server: "registry.example:5000"; empty means Docker Hub.
            username: A name,
            password: and its password,
            token: or an identity token.
            timeout: Seconds.

        Raises:
            RegistryDenied: It does not take them.
            RegistryUnavailable, RegistryRateLimited, RegistryRefused: See `scow.contract.errors`.

        Example::

            token = await client.images.login("registry.example", username="me", password="secret")
        """
        auth = Auth(username=username, password=password, token=token)
        request = pb.LoginRequest(server=server, auth=auth)
        response = await self._service.call(
            "RegistryService/Login", request, pb.LoginResponse, timeout
        )
        return response.identity_token

    async def search(
        self,
        term: str,
        *,
        limit: int = 0,
        filters: Filters | None = None,
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> list[pb.SearchResult]:
        """Look for repositories on Docker Hub, or in the catalogue of a registry.

        Args:
            term: "nginx", or "registry.example:5000/web".
            limit: At most so many results, up to 100; 0 means 25.
            filters: "is-official", "is-automated", "stars" (at least).
            auth: What the registry wants to know.
            timeout: Seconds.

        Raises:
            InvalidFilter, InvalidArgument: See `scow.contract.errors`.
            RegistryDenied, RegistryUnavailable, RegistryRateLimited, RegistryRefused: See `scow.contract.errors`.

        Example::

            for result in await client.images.search("nginx", filters={"stars": "100"}):
                print(result.name, result.stars)
        """
        request = pb.SearchRequest(term=term, limit=limit, filters=filters_of(filters), auth=auth)
        response = await self._service.call(
            "RegistryService/Search", request, pb.SearchResponse, timeout
        )
        return [*response.results]

    async def tags(
        self, repository: str, *, auth: Auth | None = None, timeout: float | None = None
    ) -> list[str]:
        """Return the tags of a repository, as its registry has them.

        Raises:
            ManifestNotFound: The registry has no such repository.
            RegistryDenied, RegistryUnavailable, RegistryRateLimited, RegistryRefused: See `scow.contract.errors`.

        Example::

            print(await client.images.tags("registry.example/web"))
        """
        request = pb.ListTagsRequest(repository=repository, auth=auth)
        response = await self._service.call(
            "RegistryService/ListTags", request, pb.ListTagsResponse, timeout
        )
        return [*response.tags]
