"""Services that a test writes itself, on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc

from scow.api.container.v1.container_pb2_grpc import (
    ContainerServiceServicer,
    add_ContainerServiceServicer_to_server,
)
from scow.api.image.v1.image_pb2_grpc import (
    ImageServiceServicer,
    add_ImageServiceServicer_to_server,
)
from scow.api.image.v1.layer_pb2_grpc import (
    LayerServiceServicer,
    add_LayerServiceServicer_to_server,
)
from scow.api.network.v1.network_pb2_grpc import (
    NetworkServiceServicer,
    add_NetworkServiceServicer_to_server,
)
from scow.api.volume.v1.quota_pb2_grpc import (
    QuotaServiceServicer,
    add_QuotaServiceServicer_to_server,
)
from scow.api.volume.v1.volume_pb2_grpc import (
    VolumeServiceServicer,
    add_VolumeServiceServicer_to_server,
)
from scow.contract.errors import DETAILS_KEY, ScowError

_ADDERS: dict[type, tuple[str, Any]] = {
    ContainerServiceServicer: ("container", add_ContainerServiceServicer_to_server),
    ImageServiceServicer: ("image", add_ImageServiceServicer_to_server),
    LayerServiceServicer: ("image", add_LayerServiceServicer_to_server),
    NetworkServiceServicer: ("network", add_NetworkServiceServicer_to_server),
    VolumeServiceServicer: ("volume", add_VolumeServiceServicer_to_server),
    QuotaServiceServicer: ("volume", add_QuotaServiceServicer_to_server),
}


@contextmanager
def serving(run: Path, *servicers: object) -> Iterator[None]:
    """Serve on the sockets of a run directory while the block runs."""
    servers = []
    for servicer in servicers:
        server = grpc.server(ThreadPoolExecutor(8))
        served = [found for kind, found in _ADDERS.items() if isinstance(servicer, kind)]
        name = served[0][0]
        for _, add in served:
            add(servicer, server)
        server.add_insecure_port(f"unix://{run}/{name}.sock")
        server.start()
        servers.append(server)
    try:
        yield
    finally:
        for server in servers:
            server.stop(0).wait()


def fail(context: grpc.ServicerContext, error: ScowError) -> NoReturn:
    """End a call with an error, as services do."""
    code = next(code for code in grpc.StatusCode if code.value[0] == error.code)
    context.set_trailing_metadata(((DETAILS_KEY, error.to_details()),))
    context.abort(code, error.message)
    raise AssertionError("abort returned")
