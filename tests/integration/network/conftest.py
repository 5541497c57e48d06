"""The network service as a process on a host of its own, driven by a bare channel."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from scow.api.container.v1 import container_pb2
from scow.api.network.v1 import network_pb2 as pb
from scow.api.network.v1.network_pb2_grpc import NetworkServiceStub
from tests.integration.network.machines import Namespace, host_and_neighbour, instance_name
from tests.support.service import Service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if "integration/network" in str(item.path):
            item.add_marker(pytest.mark.skip(reason="needs root: it makes network namespaces"))


class Engine:
    """One network service, its host, a neighbour of the host, and containers on it."""

    def __init__(self, host: Namespace, neighbour: Namespace, service: Service) -> None:
        self.host = host
        self.neighbour = neighbour
        self.service = service
        self.stub: Any = NetworkServiceStub(service.channel)
        self._containers: list[tuple[Namespace, str]] = []
        self._numbers = itertools.count()

    @property
    def instance(self) -> str:
        return self.service.instance

    @property
    def bridge(self) -> str:
        return f"{self.instance}0"

    @property
    def gateway(self) -> str:
        [subnet] = self.stub.Get(pb.GetRequest()).network.subnets
        return str(subnet.gateway)

    def container(self) -> Namespace:
        """Return a namespace that no network is in yet; it is ended with the test."""
        namespace = Namespace()
        self._containers.append((namespace, ""))
        return namespace

    def owner(self) -> str:
        """Return an owner of the test's own."""
        owner = f"container/c{next(self._numbers)}"
        self._containers[-1] = (self._containers[-1][0], owner)
        return owner

    def attach(self, **fields: Any) -> tuple[Namespace, pb.AttachResponse]:
        """Make a container and attach it."""
        namespace = self.container()
        request = pb.AttachRequest(owner=self.owner(), netns_path=namespace.path, hostname="box")
        request.MergeFrom(pb.AttachRequest(**fields))
        return namespace, self.stub.Attach(request)

    def links(self) -> set[str]:
        """Return the names of the containers' links."""
        return {link for link in self.host.links() if link.startswith(f"{self.instance}-")}

    def table(self) -> str:
        """Return the engine's table, or nothing."""
        return self.host.run(f"nft list table ip {self.instance}", check=False)

    def reconcile(self) -> list[tuple[str, str]]:
        """Reconcile; return object and action of what was done."""
        actions = self.stub.Reconcile(pb.ReconcileRequest()).actions
        return [(a.object, a.action) for a in actions]

    def end_containers(self) -> None:
        for namespace, owner in self._containers:
            if owner:
                self.stub.Detach(pb.DetachRequest(owner=owner))
            namespace.end()
        self._containers.clear()


def running_engine(settings: dict[str, str] | None = None) -> Iterator[Engine]:
    with host_and_neighbour() as (host, neighbour):
        service = Service("network", instance_name(), settings)
        try:
            host.call(service.start)
            made = Engine(host, neighbour, service)
            yield made
            made.end_containers()
        finally:
            service.__exit__(None, None, None)


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[Engine]:
    """One engine for all tests of a module that leave it as they found it."""
    yield from running_engine()


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """The shared engine, without the containers of the test before."""
    yield shared_engine
    shared_engine.end_containers()


@pytest.fixture
def quiet_engine(engine: Engine) -> Engine:
    """The shared engine, after what it does by itself when a table was deleted: for tests that damage it."""
    time.sleep(0.5)
    return engine


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """An engine for this test alone: for tests that kill it or break its host."""
    yield from running_engine()


class Containers:
    """The container service, as far as others ask it: who exists."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def check_owners(self, request: Any, context: Any) -> Any:
        unknown = [owner for owner in request.owners if owner not in self.known]
        return container_pb2.CheckOwnersResponse(unknown=unknown)


@pytest.fixture
def containers(own_engine: Engine) -> Iterator[Containers]:
    """A container service beside the test's own engine."""
    answering = Containers()
    handler = grpc.unary_unary_rpc_method_handler(
        answering.check_owners,
        request_deserializer=container_pb2.CheckOwnersRequest.FromString,
        response_serializer=container_pb2.CheckOwnersResponse.SerializeToString,
    )
    service = "scow.api.container.v1.ContainerService"
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"CheckOwners": handler}),)
    )
    server.add_insecure_port(f"unix://{own_engine.service.run}/container.sock")
    server.start()
    yield answering
    server.stop(0).wait()
