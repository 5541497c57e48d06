"""Networks of a running container after the network service has failed in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.network.v1 import network_pb2
from scow.container.lifecycle.networking import Networking
from scow.container.model.containers import Containers, Entry
from scow.container.store import MIGRATIONS, ContainerStore
from scow.contract.errors import ServiceUnavailable
from scow.core.journal import Journal
from scow.core.store import Store


class Fabric:
    """The network service: who is attached, and which of its answers are lost."""

    def __init__(self, *attached: str) -> None:
        self.attached = set(attached)
        self.lost: set[str] = set()  # what is done, and whose answer does not come
        self.refused: set[str] = set()  # what is not done

    def _answer(self, call: str) -> None:
        if call in self.lost | self.refused:
            raise ServiceUnavailable("the network service does not answer")

    async def find(self, network: str) -> network_pb2.Network:
        return network_pb2.Network(name=network, driver="bridge")

    async def attach(self, request: network_pb2.AttachRequest) -> network_pb2.AttachResponse:
        if "attach" not in self.refused:
            self.attached.add(request.network)
        self._answer("attach")
        endpoint = network_pb2.Endpoint(network=request.network)
        return network_pb2.AttachResponse(endpoint=endpoint)

    async def detach(self, owner: str, network: str) -> network_pb2.DetachResponse:
        if "detach" not in self.refused:
            self.attached.discard(network)
        self._answer("detach")
        return network_pb2.DetachResponse()


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    store = Store.open(tmp_path / "container.db", MIGRATIONS)
    yield Containers(ContainerStore(store), Journal(store, "test", 1000))
    store.close()


def running(containers: Containers, *networks: str) -> Entry:
    return containers.reserve(
        pb.Container(
            id="a" * 64,
            name="web",
            status=pb.STATUS_RUNNING,
            config=pb.ContainerConfig(),
            networks=[pb.NetworkAttachment(network=each) for each in networks],
            endpoints=[pb.Endpoint(network=each, name="web") for each in networks],
        )
    )


def networking(containers: Containers, fabric: Fabric) -> Networking:
    shared: Any = SimpleNamespace(containers=containers, networks=fabric)
    return Networking(shared)


def wanted(entry: Entry) -> list[str]:
    return sorted(each.network for each in entry.described.networks)


def present(entry: Entry) -> list[tuple[str, str]]:
    return sorted((each.network, each.name) for each in entry.described.endpoints)


@pytest.mark.parametrize("how", ["lost", "refused"])
async def test_a_disconnection_that_fails_changes_nothing(containers: Containers, how: str) -> None:
    fabric = Fabric("bridge", "own")
    entry = running(containers, "bridge", "own")
    found = networking(containers, fabric)
    getattr(fabric, how).add("detach")
    with pytest.raises(ServiceUnavailable):
        await found.disconnect(entry, "own", False, lambda _: pb.DisconnectResponse())
    assert wanted(entry) == ["bridge", "own"]
    getattr(fabric, how).clear()
    assert await found.settle(entry)
    assert fabric.attached == {"bridge", "own"}
    assert present(entry) == [("bridge", "web"), ("own", "web")]
    assert not await found.settle(entry)


@pytest.mark.parametrize("how", ["lost", "refused"])
@pytest.mark.parametrize("calls", [("attach",), ("attach", "detach")])
async def test_a_connection_that_fails_leaves_nothing(
    containers: Containers, how: str, calls: tuple[str, ...]
) -> None:
    fabric = Fabric("bridge")
    entry = running(containers, "bridge")
    found = networking(containers, fabric)
    fabric.lost.add("attach")
    getattr(fabric, how).update(calls)
    attachment = pb.NetworkAttachment(network="own")
    with pytest.raises(ServiceUnavailable):
        await found.connect(entry, attachment, lambda _: pb.ConnectResponse())
    assert wanted(entry) == ["bridge"]
    fabric.lost.clear()
    fabric.refused.clear()
    await found.settle(entry)
    assert fabric.attached == {"bridge"}
    assert present(entry) == [("bridge", "web")]
