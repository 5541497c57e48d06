"""Layers and images of the image service, as builds need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from scow.api.image.v1 import image_pb2, layer_pb2, remote_layer_pb2, store_pb2
from scow.api.types.v1 import types_pb2
from scow.core.peers import Peers, translated
from scow.core.retry import ask
from scow.core.times import to_proto

# Records of the cache decide how long layers are kept, not their leases.
KEPT_SECONDS = 10 * 365 * 86400
# By this label of leases the service finds again what it has.
LABEL = "scow.build"


class Layers:
    """Layers, one call a method. Errors are those of `scow.contract.errors`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def stack(
        self, image: str, platform: types_pb2.Platform | None
    ) -> layer_pb2.GetStackResponse:
        """Return an image, its layers and its configuration."""
        request = layer_pb2.GetStackRequest(image=image, platform=platform)
        return await ask("image", lambda: self._peers.layer.GetStack(request))

    async def remote_stack(
        self, image: str, platform: types_pb2.Platform | None, auth: image_pb2.Auth | None
    ) -> remote_layer_pb2.GetRemoteStackResponse:
        """Return the layers and the configuration of an image at its registry."""
        request = remote_layer_pb2.GetRemoteStackRequest(
            reference=image, platform=platform, auth=auth
        )
        return await ask("image", lambda: self._peers.remote_layer.GetRemoteStack(request))

    async def fetch(
        self, image: str, auth: image_pb2.Auth | None, layer: layer_pb2.Layer, label: str
    ) -> str:
        """Fetch a layer of an image at its registry; return the lease, with a label, that keeps it."""
        request = remote_layer_pb2.FetchLayerRequest(
            reference=image,
            auth=auth,
            layer=layer,
            ttl_seconds=KEPT_SECONDS,
            labels={LABEL: label},
        )
        return (await ask("image", lambda: self._peers.remote_layer.FetchLayer(request))).lease

    async def keep(self, layer: layer_pb2.Layer, label: str) -> tuple[layer_pb2.Layer, str]:
        """Keep a layer that is here by a lease with a label; return both."""
        request = store_pb2.CreateLeaseRequest(
            content=[layer.digest, layer.diff_id], ttl_seconds=KEPT_SECONDS, labels={LABEL: label}
        )
        response = await ask("image", lambda: self._peers.store.CreateLease(request))
        return layer, response.lease.id

    async def write(self, tar: AsyncIterator[bytes], label: str) -> layer_pb2.WriteLayerResponse:
        """Make a layer of a tar, kept by a lease with a label; what giving the tar raises is raised."""
        failed: list[Exception] = []

        async def requests() -> AsyncIterator[layer_pb2.WriteLayerRequest]:
            opened = layer_pb2.WriteLayerRequest.Open(
                ttl_seconds=KEPT_SECONDS, labels={LABEL: label}
            )
            yield layer_pb2.WriteLayerRequest(open=opened)
            try:
                async for chunk in tar:
                    yield layer_pb2.WriteLayerRequest(chunk=chunk)
            except Exception as error:
                failed.append(error)
                raise

        with translated("image"):
            try:
                return await self._peers.layer.WriteLayer(requests())
            except asyncio.CancelledError:
                # gRPC cancels a call whose requests fail, and says no more.
                if failed:
                    raise failed[0] from None
                raise

    async def commit(
        self,
        owner: str,
        label: str,
        mount_points: Sequence[bytes] = (),
        latest_ns: int | None = None,
    ) -> layer_pb2.CommitLayerResponse:
        """Make a layer of what an owner changed; later times of files become `latest_ns`."""
        request = layer_pb2.CommitLayerRequest(
            owner=owner,
            ttl_seconds=KEPT_SECONDS,
            labels={LABEL: label},
            mount_points=mount_points,
            latest=to_proto(latest_ns),
        )
        return await ask("image", lambda: self._peers.layer.CommitLayer(request))

    async def make_image(self, request: layer_pb2.MakeImageRequest) -> image_pb2.Image:
        """Record an image."""
        return (await ask("image", lambda: self._peers.layer.MakeImage(request))).image

    async def manifest(self, digest: str) -> bytes:
        """Return a manifest."""
        request = layer_pb2.ReadManifestRequest(digest=digest)
        return (await ask("image", lambda: self._peers.layer.ReadManifest(request))).manifest

    async def make_index(self, request: layer_pb2.MakeIndexRequest) -> layer_pb2.MakeIndexResponse:
        """Record an index of images with what is said about them."""
        return await ask("image", lambda: self._peers.layer.MakeIndex(request))

    async def look_up(
        self, layers: Sequence[layer_pb2.Layer], paths: Sequence[bytes], *, follow: bool = True
    ) -> list[layer_pb2.Found]:
        """Tell what paths lead to."""
        request = layer_pb2.LookUpRequest(layers=layers, paths=paths, no_follow=not follow)
        return list((await ask("image", lambda: self._peers.layer.LookUp(request))).found)

    async def read(
        self,
        layers: Sequence[layer_pb2.Layer],
        path: bytes,
        *,
        contents: bool = True,
        only: Sequence[bytes] = (),
    ) -> AsyncIterator[layer_pb2.ReadTreeResponse.Piece]:
        """Give files, and their contents unless these are not wanted, or those of some files alone."""
        request = layer_pb2.ReadTreeRequest(layers=layers, path=path, list=not contents, only=only)
        with translated("image"):
            async for message in self._peers.layer.ReadTree(request):
                for piece in message.pieces:
                    yield piece

    async def find(self, diff_ids: Sequence[str]) -> set[str]:
        """Return which layers are there."""
        request = layer_pb2.FindLayersRequest(diff_ids=diff_ids)
        return set((await ask("image", lambda: self._peers.layer.FindLayers(request))).diff_ids)

    async def leases(self) -> dict[str, store_pb2.Lease]:
        """Return the leases that this service has, by id."""
        with translated("image"):
            response = await self._peers.store.ListLeases(store_pb2.ListLeasesRequest())
        return {lease.id: lease for lease in response.leases if LABEL in lease.labels}

    async def collect(self) -> None:
        """Let what nothing holds any more go now."""
        with translated("image"):
            await self._peers.store.Collect(store_pb2.CollectRequest())

    async def release(self, lease: str) -> None:
        """End a lease."""
        with translated("image"):
            await self._peers.store.DeleteLease(store_pb2.DeleteLeaseRequest(id=lease))
