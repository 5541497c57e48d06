"""The servicer of layers at registries: a wire shell around describing and fetching them."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.image.v1 import remote_layer_pb2 as pb
from scow.api.image.v1 import remote_layer_pb2_grpc as pb_grpc
from scow.contract.errors import InvalidArgument
from scow.image.content.digests import is_digest
from scow.image.oci.platforms import platform_of
from scow.image.oci.reference import Reference
from scow.image.registry_client.credentials import Credentials
from scow.image.transfer.pull import Asked
from scow.image.transfer.remote_layers import RemoteLayers

Context = grpc.aio.ServicerContext[Any, Any]


class RemoteLayerServicer(pb_grpc.RemoteLayerServiceServicer):
    """Serves scow.api.image.v1.RemoteLayerService."""

    def __init__(self, layers: RemoteLayers) -> None:
        self._layers = layers

    async def GetRemoteStack(
        self, request: pb.GetRemoteStackRequest, context: Context
    ) -> pb.GetRemoteStackResponse:
        """Tell the layers of an image at its registry."""
        asked = Asked(
            Reference.parse(request.reference),
            platform_of(request.platform) if request.HasField("platform") else None,
            credentials=Credentials.of(request.auth),
        )
        layers, configuration = await self._layers.stack(asked)
        return pb.GetRemoteStackResponse(layers=layers, configuration=configuration)

    async def FetchLayer(
        self, request: pb.FetchLayerRequest, context: Context
    ) -> pb.FetchLayerResponse:
        """Fetch a layer."""
        for digest in (request.layer.digest, request.layer.diff_id):
            if not is_digest(digest):
                raise InvalidArgument(
                    f"{digest[:100]!r} is not a digest",
                    what="layer",
                    which=digest,
                    do='give "sha256:..."',
                )
        lease = await self._layers.fetch(
            Reference.parse(request.reference),
            Credentials.of(request.auth),
            request.layer,
            request.ttl_seconds,
            request.labels,
        )
        return pb.FetchLayerResponse(lease=lease)
