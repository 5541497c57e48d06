"""The container service, as builds need it: a container for each RUN."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import ContainerNotFound
from scow.core.peers import Peers, translated
from scow.core.retry import ask

# Of the containers of builds, the build's id.
LABEL = "scow.build"


class Containers:
    """Containers, one call a method. Errors are those of `scow.contract.errors`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def create(self, config: pb.ContainerConfig, request_id: str) -> pb.Container:
        """Make a container that does not run yet."""
        request = pb.CreateRequest(request_id=request_id, config=config)
        return (await ask("container", lambda: self._peers.container.Create(request))).container

    async def run(self, container: str) -> AsyncIterator[pb.AttachResponse]:
        """Start a container and give its output; the last message tells how it ended."""
        opened = pb.AttachRequest.Open(container=container, stdout=True, stderr=True, start=True)
        with translated("container"):
            call = self._peers.container.Attach(iter([pb.AttachRequest(open=opened)]))
            async for message in call:
                yield message

    async def remove(self, container: str) -> None:
        """End and remove a container; one that is not there is no error."""
        request = pb.RemoveRequest(container=container, force=True, volumes=True)
        with contextlib.suppress(ContainerNotFound):
            await ask("container", lambda: self._peers.container.Remove(request))

    async def of_builds(self) -> dict[str, str]:
        """Return the containers of builds, by id with the build's id."""
        request = pb.ListRequest(all=True, filters=[Filter(key="label", values=[LABEL])])
        with translated("container"):
            response = await self._peers.container.List(request)
        return {each.id: each.labels[LABEL] for each in response.containers}
