"""The other services, as seen from one service: typed stubs over their unix sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import grpc

from scow.contract.channel import SERVICE, channel_options
from scow.contract.errors import DETAILS_KEY, ScowError, ServiceUnavailable, from_wire
from scow.core.actor import current_actor
from scow.core.config import Config
from scow.core.trace import current_traceparent, remaining

if TYPE_CHECKING:
    from scow.api.container.v1.container_pb2_grpc import ContainerServiceAsyncStub
    from scow.api.image.v1.archive_pb2_grpc import ArchiveServiceAsyncStub
    from scow.api.image.v1.artifact_pb2_grpc import ArtifactServiceAsyncStub
    from scow.api.image.v1.image_pb2_grpc import ImageServiceAsyncStub
    from scow.api.image.v1.layer_pb2_grpc import LayerServiceAsyncStub
    from scow.api.image.v1.registry_pb2_grpc import RegistryServiceAsyncStub
    from scow.api.image.v1.remote_layer_pb2_grpc import RemoteLayerServiceAsyncStub
    from scow.api.image.v1.store_pb2_grpc import StoreServiceAsyncStub
    from scow.api.network.v1.network_pb2_grpc import NetworkServiceAsyncStub
    from scow.api.volume.v1.volume_pb2_grpc import VolumeServiceAsyncStub


@contextlib.contextmanager
def translated(service: str) -> Iterator[None]:
    """Raise the errors of scow.contract.errors for what a call to `service` raised.

    Raises:
        ScowError: What the service said.
        ServiceUnavailable: The service does not answer.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise translate(service, error) from error


def translate(service: str, error: grpc.aio.AioRpcError) -> ScowError:
    """Return the error that a failed call to `service` stands for."""
    details = dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    if not details and error.code() is grpc.StatusCode.UNAVAILABLE:
        return ServiceUnavailable(
            f"the {service} service does not answer",
            what="service",
            which=service,
            do="see its log; scowd starts it again",
        )
    code: int = error.code().value[0]
    raw = details if isinstance(details, bytes) else details.encode()
    return from_wire(code, error.details() or "", raw)


def _with_context(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    """Return a call's details with the trace, the actor and the deadline of the RPC under way."""
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    if traceparent := current_traceparent.get():
        metadata.add("traceparent", traceparent)
    if actor := current_actor.get():
        metadata.add("scow-actor", actor)
    timeout = details.timeout if details.timeout is not None else remaining()
    return grpc.aio.ClientCallDetails(
        details.method, timeout, metadata, details.credentials, details.wait_for_ready
    )


# A channel takes an interceptor for one kind of calls only, whatever else it is.
Continuation = Callable[[grpc.aio.ClientCallDetails, Any], Any]


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_with_context(details), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_with_context(details), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, requests: Any
    ) -> Any:
        return await continuation(_with_context(details), requests)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, requests: Any
    ) -> Any:
        return await continuation(_with_context(details), requests)


class Peers:
    """Stubs of the other services. A channel is made when a stub is first asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._channels: list[grpc.aio.Channel] = []

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return a new channel to a service's socket, closed by `close`."""
        channel = grpc.aio.insecure_channel(
            f"unix://{self._config.socket(service).absolute()}",
            options=channel_options(SERVICE),
            interceptors=[_UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()],
        )
        self._channels.append(channel)
        return channel

    @cached_property
    def image(self) -> ImageServiceAsyncStub:
        """The image service."""
        from scow.api.image.v1.image_pb2_grpc import ImageServiceStub

        return ImageServiceStub(self.channel("image"))

    @cached_property
    def archive(self) -> ArchiveServiceAsyncStub:
        """Archives and commits, which the image service serves too."""
        from scow.api.image.v1.archive_pb2_grpc import ArchiveServiceStub

        return ArchiveServiceStub(self.channel("image"))

    @cached_property
    def remote_layer(self) -> RemoteLayerServiceAsyncStub:
        """Layers at registries, which the image service serves too."""
        from scow.api.image.v1.remote_layer_pb2_grpc import RemoteLayerServiceStub

        return RemoteLayerServiceStub(self.channel("image"))

    @cached_property
    def layer(self) -> LayerServiceAsyncStub:
        """Layers one by one, which the image service serves too."""
        from scow.api.image.v1.layer_pb2_grpc import LayerServiceStub

        return LayerServiceStub(self.channel("image"))

    @cached_property
    def registry(self) -> RegistryServiceAsyncStub:
        """Registries, which the image service talks to."""
        from scow.api.image.v1.registry_pb2_grpc import RegistryServiceStub

        return RegistryServiceStub(self.channel("image"))

    @cached_property
    def store(self) -> StoreServiceAsyncStub:
        """Leases and usage of the image service's store."""
        from scow.api.image.v1.store_pb2_grpc import StoreServiceStub

        return StoreServiceStub(self.channel("image"))

    @cached_property
    def artifact(self) -> ArtifactServiceAsyncStub:
        """Artifacts at registries, which the image service serves too."""
        from scow.api.image.v1.artifact_pb2_grpc import ArtifactServiceStub

        return ArtifactServiceStub(self.channel("image"))

    @cached_property
    def volume(self) -> VolumeServiceAsyncStub:
        """The volume service."""
        from scow.api.volume.v1.volume_pb2_grpc import VolumeServiceStub

        return VolumeServiceStub(self.channel("volume"))

    @cached_property
    def network(self) -> NetworkServiceAsyncStub:
        """The network service."""
        from scow.api.network.v1.network_pb2_grpc import NetworkServiceStub

        return NetworkServiceStub(self.channel("network"))

    @cached_property
    def container(self) -> ContainerServiceAsyncStub:
        """The container service."""
        from scow.api.container.v1.container_pb2_grpc import ContainerServiceStub

        return ContainerServiceStub(self.channel("container"))

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels:
            await channel.close()
