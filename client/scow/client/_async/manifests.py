"""Manifests and indexes: what a registry has, and indexes made of several images."""

from __future__ import annotations

from collections.abc import Iterable

from scow.api.image.v1 import image_pb2
from scow.api.image.v1 import registry_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.client._async.service import AsyncService
from scow.client._link import request_id
from scow.client._options import platform_of
from scow.contract.errors import ImageNotFound, ManifestNotFound


class AsyncManifests:
    """Manifests and indexes.

    Example::

        for part in (await client.manifests.inspect("nginx")).parts:
            print(part.platform.architecture, part.digest)
    """

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def inspect(
        self,
        reference: str,
        *,
        platform: str = "",
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> pb.GetManifestResponse:
        """Get a manifest or index from its registry; nothing is stored.

        An index that `create` made and that was not pushed yet is answered from here.

        Args:
            reference: "nginx" means docker.io/library/nginx:latest.
            platform: "linux/arm64": of an index, the manifest of this platform; empty means the index itself.
            auth: What the registry wants to know.
            timeout: Seconds.

        Raises:
            InvalidReference: No such form.
            ManifestNotFound, PlatformNotFound: The registry does not have it.
            RegistryDenied, RegistryRateLimited, RegistryUnavailable: The registry refused.

        Example::

            print((await client.manifests.inspect("nginx", platform="linux/arm64")).content)
        """
        request = pb.GetManifestRequest(reference=reference, auth=auth)
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        return await self._service.call(
            "RegistryService/GetManifest", request, pb.GetManifestResponse, timeout
        )

    async def create(
        self,
        reference: str,
        manifests: Iterable[str],
        *,
        amend: bool = False,
        platform: str = "",
        os_version: str = "",
        os_features: Iterable[str] = (),
        auth: Auth | None = None,
        timeout: float | None = None,
    ) -> pb.CreateIndexResponse:
        """Make an index of images that are here or at registries; `images.push` sends it.

        Args:
            reference: For the index.
            manifests: References of images, one for each platform; an index gives all of its entries.
            amend: Add to the index that has the reference, in place of the same platforms.
            platform: What the index says of the platform of the one image given, "linux/arm/v7"; empty means what
                the image says itself.
            os_version: Written beside `platform`, of Windows: "10.0.17763.1".
            os_features: Likewise, what the image needs of it: "win32k".
            auth: What the images' registries want to know.
            timeout: Seconds.

        Raises:
            NameInUse: The reference means something already.
            InvalidReference, InvalidArgument: No such form; two images for one platform.
            ManifestNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable: See `scow.contract.errors`.

        Example::

            await client.manifests.create("r.example/app:1", ["r.example/app:amd64", "r.example/app:arm64"])
            await client.images.push("r.example/app:1")
        """
        request = pb.CreateIndexRequest(
            request_id=request_id(),
            reference=reference,
            manifests=manifests,
            amend=amend,
            auth=auth,
        )
        if platform:
            request.platform.CopyFrom(platform_of(platform))
            request.os_version = os_version
            request.os_features.extend(os_features)
        return await self._service.call(
            "RegistryService/CreateIndex", request, pb.CreateIndexResponse, timeout
        )

    async def remove(self, reference: str, *, timeout: float | None = None) -> list[str]:
        """Drop the reference of an index; return the digests of what is gone with it.

        Raises:
            ManifestNotFound: There is no such reference, or it means an image.

        Example::

            await client.manifests.remove("r.example/app:1")
        """
        try:
            found = await self._service.call(
                "Get", image_pb2.GetRequest(image=reference), image_pb2.GetResponse, timeout
            )
            is_index = bool(found.index)
        except ImageNotFound:  # an index of other machines' images, or nothing
            is_index = True
        request = image_pb2.RemoveRequest(request_id=request_id(), image=reference)
        try:
            if is_index:
                removed = await self._service.call(
                    "Remove", request, image_pb2.RemoveResponse, timeout
                )
                return [*removed.deleted]
        except ImageNotFound:
            pass
        raise ManifestNotFound(
            f"there is no index {reference}",
            what="index",
            which=reference,
            do="see what there is with `scow images`; an image is removed with `scow rmi`",
        )
