"""Layers that are written at the image service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from scow.api.image.v1 import layer_pb2
from scow.api.image.v1.layer_pb2_grpc import (
    LayerServiceServicer,
    LayerServiceStub,
    add_LayerServiceServicer_to_server,
)
from scow.build.peers.layers import Layers
from scow.contract.errors import Cancelled
from scow.core.peers import Peers


class Layer(LayerServiceServicer):
    async def WriteLayer(  # noqa: N802  gRPC's name
        self, requests: AsyncIterator[layer_pb2.WriteLayerRequest], context: Any
    ) -> layer_pb2.WriteLayerResponse:
        async for _ in requests:
            pass
        return layer_pb2.WriteLayerResponse()


async def test_why_a_tar_cannot_be_given_is_said(tmp_path: Path) -> None:
    """Not the cancellation that gRPC makes of it, which would end the other builds that wait for the layer."""

    async def tar() -> AsyncIterator[bytes]:
        yield b"piece"
        raise Cancelled("the other build has ended", what="build", do="build again")

    server = grpc.aio.server()
    add_LayerServiceServicer_to_server(Layer(), server)  # type: ignore[abstract]
    server.add_insecure_port(f"unix:{tmp_path}/socket")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            peers = cast(Peers, SimpleNamespace(layer=LayerServiceStub(channel)))
            with pytest.raises(Cancelled, match="has ended"):
                await Layers(peers).write(tar(), "key")
    finally:
        await server.stop(None)
