"""The contract of `scow.network.drivers.base`, as tests that every driver passes.

A driver's test module makes a class of `DriverSuite` and says in `case` what it is about. Where drivers differ, their
capabilities are asked.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from scow.contract.errors import LinkFailed
from scow.core.times import now_ns
from scow.network.drivers import Driver
from scow.network.ipam import leases
from scow.network.ipam.addresses import Pool
from scow.network.ipam.plan import Plan, families
from scow.network.kernel import names, netns
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network
from tests.integration.network.machines import Answerer, Namespace, instance_name

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Case:
    """A driver under test.

    Attributes:
        make: Makes it for an instance, with a worker whose thread is in the namespace that plays the host.
        subnets: Of its network.
        options: Of its network.
        prepare: Run in the namespace that plays the host, before there is a network.
    """

    make: Callable[[Worker, str], Driver]
    subnets: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    prepare: str = "true"


class Stage:
    """A host, a driver on it, its network, and endpoints of that."""

    def __init__(self, case: Case, host: Namespace, worker: Worker) -> None:
        self.host = host
        self.instance = instance_name()
        bridge = names.bridge(self.instance)
        options = dict(case.options)
        self.network = Network(
            "0123456789abcdef" * 4, "net", "driver", bridge, now_ns(), options=options
        )
        self.containers: list[Namespace] = []
        # Before there was a network.
        self.made_in_host: set[str] = set()
        self._case = case
        self._worker = worker
        self.driver = self.started()

    def started(self) -> Driver:
        """Return a driver that knows nothing of what was before, as after a restart."""
        self.driver = self._case.make(self._worker, self.instance)
        return self.driver

    async def establish(self) -> None:
        """Make the network."""
        wanted = tuple(Pool.of(ip_network(subnet)) for subnet in self._case.subnets)
        plan = Plan(wanted, families(wanted, {4}), (), (), "seed")
        pools = await self.driver.establish(self.network, plan.pools)
        self.network = replace(self.network, pools=pools)

    def endpoint(self) -> tuple[Namespace, Endpoint]:
        """Return a container and the record of an endpoint for it."""
        container = Namespace()
        self.containers.append(container)
        identity = os.urandom(32).hex()
        taken = {number + 2 for number in range(len(self.containers) - 1)}
        linked = self.driver.capabilities.addresses
        used = {pool.subnet[number] for pool in self.network.pools for number in taken}
        addresses = leases.lease(self.network.pools, used, ()) if linked else ()
        apart = self.driver.capabilities.namespace
        return container, Endpoint(
            id=identity,
            owner=f"container/{identity[:6]}",
            network_id=self.network.id,
            name="box",
            addresses=addresses,
            mac=leases.mac_of(addresses) if addresses else "",
            link=names.link(self.instance, identity) if self.driver.capabilities.linked else "",
            interface=names.interface(0) if linked else "",
            netns_path=container.path if apart else "",
            netns_id=netns.current_identity(container.path) if apart else "",
            ports=(),
            aliases=(),
            ready=True,
            created_ns=now_ns(),
            routers=tuple(self.network.gateways()) if linked else (),
        )

    async def attached(self) -> tuple[Namespace, Endpoint]:
        """Return a container and its endpoint, attached."""
        container, endpoint = self.endpoint()
        await self.driver.attach(self.network, endpoint)
        return container, endpoint

    def host_gateways(self) -> list[str]:
        """Return the gateways that are addresses of the host."""
        gateways = self.network.gateways() if self.driver.capabilities.linked else []
        return [str(gateway) for gateway in gateways]

    async def reconcile(self, *endpoints: Endpoint) -> list[str]:
        """Return what a reconciliation did things to."""
        actions = await self.driver.reconcile([self.network], endpoints)
        return [action.object for action in actions]


@contextlib.asynccontextmanager
async def staged(case: Case) -> AsyncIterator[Stage]:
    """Make a host, and a network of the case on it."""
    with Namespace() as host, contextlib.ExitStack() as stack:
        host.run(f"ip link set lo up; {case.prepare}")
        worker = Worker()
        links = host.links()
        await worker.run(_enter, links, host)
        stage = Stage(case, host, worker)
        stage.made_in_host = links
        try:
            stage.driver.check(stage.network)
            await stage.establish()
            yield stage
        finally:
            await stage.driver.close()
            worker.close()
            for container in stage.containers:
                stack.callback(container.end)


class DriverSuite:
    """The tests."""

    case: Case

    @pytest.fixture
    async def stage(self) -> AsyncIterator[Stage]:
        async with staged(self.case) as stage:
            yield stage

    async def test_an_attached_endpoint_has_what_its_driver_promises(self, stage: Stage) -> None:
        container, endpoint = await stage.attached()
        assert await stage.driver.is_attached(endpoint)
        if not stage.driver.capabilities.namespace:
            return
        assert "LOOPBACK,UP" in container.run("ip link show dev lo")
        assert container.links() == ({"lo", "eth0"} if endpoint.addresses else {"lo"})
        for address, gateway in zip(endpoint.addresses, stage.network.gateways(), strict=True):
            assert f" {address} " in container.run("ip addr show dev eth0")
            assert f"default via {gateway}" in container.run(f"ip -{address.version} route")
            if not stage.driver.capabilities.linked:
                continue
            with Answerer(stage.host, "host", 7000, address=str(gateway)):
                # At once: an address is not tried out first, a link not waited for.
                assert container.fetch(str(gateway), 7000) == f"host {address.ip}"

    async def test_attaching_again_changes_nothing(self, stage: Stage) -> None:
        container, endpoint = await stage.attached()
        before = stage.host.run("ip link"), container.run("ip addr")
        await stage.driver.attach(stage.network, endpoint)
        assert (stage.host.run("ip link"), container.run("ip addr")) == before

    async def test_without_the_default_route(self, stage: Stage) -> None:
        container, endpoint = stage.endpoint()
        await stage.driver.attach(stage.network, replace(endpoint, routers=()))
        assert "default" not in container.run("ip -4 route; ip -6 route")

    async def test_a_detached_endpoint_is_cut_off_at_once(self, stage: Stage) -> None:
        container, endpoint = await stage.attached()
        await stage.driver.detach(endpoint)
        await stage.driver.detach(endpoint)
        if endpoint.addresses and not stage.driver.capabilities.linked:
            assert container.links() == {"lo"}
        for gateway in stage.host_gateways():
            with Answerer(stage.host, "host", 7000, address=gateway):
                assert not container.reaches(gateway, 7000)
        await stage.driver.attach(stage.network, endpoint)
        assert await stage.driver.is_attached(endpoint)

    async def test_endpoints_reach_each_other(self, stage: Stage) -> None:
        (one, first), (other, _) = await stage.attached(), await stage.attached()
        for address in first.addresses:
            with Answerer(one, "one", 7000, address=str(address.ip)):
                assert other.fetch(str(address.ip), 7000).startswith("one ")

    async def test_the_default_route_comes_later(self, stage: Stage) -> None:
        container, endpoint = stage.endpoint()
        await stage.driver.attach(stage.network, replace(endpoint, routers=()))
        for _ in range(2):
            await stage.driver.route(endpoint)
            for gateway in endpoint.routers:
                assert f"default via {gateway}" in container.run(f"ip -{gateway.version} route")

    async def test_a_network_is_removed(self, stage: Stage) -> None:
        before = stage.made_in_host
        await stage.driver.remove(stage.network)
        await stage.driver.remove(stage.network)
        await stage.driver.close()
        assert stage.host.links() == before

    async def test_a_network_that_no_record_speaks_of_is_deleted(self, stage: Stage) -> None:
        await stage.driver.reconcile([], [])
        assert stage.host.links() == stage.made_in_host

    async def test_detaching_what_was_never_attached(self, stage: Stage) -> None:
        _, endpoint = stage.endpoint()
        await stage.driver.detach(endpoint)
        await stage.driver.detach(endpoint, at_once=True)

    async def test_a_failed_attach_leaves_nothing(self, stage: Stage) -> None:
        if not stage.driver.capabilities.namespace:
            return  # there is nothing that could fail
        container, endpoint = stage.endpoint()
        before = stage.host.links()
        container.end()
        with pytest.raises(LinkFailed):
            await stage.driver.attach(stage.network, endpoint)
        other, endpoint = stage.endpoint()
        wrong = replace(endpoint, netns_id="1:1")
        with pytest.raises(LinkFailed):
            await stage.driver.attach(stage.network, wrong)
        if endpoint.addresses:
            other.run("ip link add eth0 type bridge")
            with pytest.raises(LinkFailed):
                await stage.driver.attach(stage.network, endpoint)
        assert stage.host.links() == before
        assert await stage.reconcile() == []

    async def test_a_restart_finds_all_of_it(self, stage: Stage) -> None:
        container, endpoint = await stage.attached()
        await stage.driver.close()
        stage.started()
        assert await stage.driver.is_attached(endpoint)
        assert await stage.reconcile(endpoint) == []
        await stage.driver.detach(endpoint, at_once=True)
        assert container.links() == {"lo"}

    async def test_what_somebody_deleted_is_made_again(self, stage: Stage) -> None:
        container, endpoint = await stage.attached()
        if not endpoint.addresses:
            return  # there is nothing to delete
        if not stage.driver.capabilities.linked:
            container.run("ip link del eth0")
            assert not await stage.driver.is_attached(endpoint)
            assert await stage.reconcile(endpoint) == [endpoint.owner]
            assert await stage.reconcile(endpoint) == []
            return
        stage.host.run(f"ip link del {endpoint.link}")
        assert not await stage.driver.is_attached(endpoint)
        assert await stage.reconcile(endpoint) == [endpoint.owner]
        stage.host.run(f"ip link del {stage.network.bridge}")
        assert await stage.reconcile(endpoint) == ["network/net", endpoint.owner]
        assert await stage.reconcile(endpoint) == []
        for gateway in stage.host_gateways():
            with Answerer(stage.host, "host", 7000, address=gateway):
                assert container.fetch(gateway, 7000).startswith("host ")

    async def test_what_no_record_speaks_of_is_deleted(self, stage: Stage) -> None:
        stage.host.run("ip link add theirs type veth peer name theirs1")
        container, endpoint = await stage.attached()
        await stage.reconcile()
        if stage.driver.capabilities.linked:
            assert container.links() == {"lo"}
        assert await stage.reconcile() == []
        assert {"theirs", "theirs1"} <= stage.host.links()
        assert endpoint.link not in stage.host.links()

    async def test_an_endpoint_whose_namespace_is_gone_is_left_to_its_owner(
        self, stage: Stage
    ) -> None:
        container, endpoint = await stage.attached()
        container.end()
        if endpoint.link:
            stage.host.run(f"ip link del {endpoint.link} || true")
        assert await stage.reconcile(endpoint) == []


def _enter(links: set[str], host: Namespace) -> None:
    """Have the worker's thread in the namespace that plays the host, for as long as it lives."""
    with open(host.path) as namespace:
        assert netns._libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0
    assert {name for _, name in socket.if_nameindex()} == links
    assert Path("/proc/thread-self/ns/net").stat().st_ino == Path(host.path).stat().st_ino
