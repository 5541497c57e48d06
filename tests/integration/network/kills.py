"""Operations of the network service, killed between any two of their steps.

A program of its own, run in a namespace that plays the host: each attempt is a process that is forked, does the
operation and ends itself by SIGKILL before its first step, its second one, and so on, until the operation is done. A
step is a transaction or a call of the worker. After each attempt another process reconciles, and what is recorded must
be what is there; then the operation is repeated, as whoever asked for it would, and undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import NameInUse, NetworkNotFound
from scow.core.config import Config
from scow.core.journal import Journal
from scow.core.peers import Peers
from scow.core.store import Store
from scow.network import drivers
from scow.network.dns.files import Files
from scow.network.endpoints import Endpoints, Parts
from scow.network.firewall.table import Table
from scow.network.kernel import links
from scow.network.kernel.netlink import Netlink
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.reconcile import Reconciler
from scow.network.store import MIGRATIONS, NetworkStore
from scow.network.user_networks import UserNetworks
from tests.integration.network.machines import Namespace

_INSTANCE = "kills"
_OWNER = "container/box"
_MOST_STEPS = 60
_WEB = PortMapping(host_port=8080, container_port=80)


@dataclass
class Service:
    """The parts of a service that has just started."""

    config: Config
    store: Store
    parts: Parts
    networks: Networks
    endpoints: Endpoints
    users: UserNetworks
    reconciler: Reconciler
    box: Namespace

    async def create(self, name: str, subnet: str) -> None:
        request = pb.CreateRequest(name=name, subnets=[pb.Subnet(subnet=subnet)])
        with contextlib.suppress(NameInUse):
            await self.users.create(request)

    async def remove(self, name: str) -> None:
        with contextlib.suppress(NetworkNotFound):
            await self.users.remove(name)

    async def attach(self, network: str) -> None:
        await self.endpoints.attach(
            pb.AttachRequest(
                owner=_OWNER,
                network=network,
                netns_path=self.box.path,
                hostname="box",
                name="box",
                ports=[_WEB],
            )
        )

    async def detach(self, network: str) -> None:
        await self.endpoints.detach(_OWNER, network)

    def check(self) -> None:
        """Compare what is recorded with what is there."""
        with Netlink() as netlink:
            found = links.list_links(netlink)
        # One that was removed is down, and deleted a moment later.
        bridges = {link.name for link in found if link.kind == "bridge" and link.up}
        assert bridges == {n.bridge for n in self.networks.all() if n.bridge}, bridges
        rows = NetworkStore(self.store).endpoints_of(_OWNER)
        assert all(row.ready for row in rows), rows
        ends = {link.name for link in found if link.name.startswith(f"{_INSTANCE}-") and link.up}
        assert ends == {row.link for row in rows}, ends
        assert self.box.links() == {"lo", *(row.interface for row in rows)}, self.box.links()
        routers = {str(router) for row in rows for router in row.routers}
        present = {
            line.split()[2]
            for line in self.box.run("ip -4 route").splitlines()
            if line.startswith("default")
        }
        assert present == routers, (present, routers)
        holders = [row for row in rows if row.ports]
        assert len(holders) == min(1, len(rows)), "the port is published once"
        for holder in holders:
            assert holder.routers, "ports lead where the default route is"
            address = str(holder.addresses[0].ip)
            table = os.popen(f"nft list table ip {_INSTANCE}").read()
            assert address in table, table


Step = Callable[[Service], Awaitable[Any]]


@dataclass(frozen=True)
class Scenario:
    """An operation, what must be before it, and what takes it back."""

    name: str
    before: Step
    operation: Step
    undo: Step


async def _nothing(service: Service) -> None:
    pass


async def _two_networks(service: Service) -> None:
    await service.create("beta", "10.77.2.0/24")
    await service.create("alpha", "10.77.1.0/24")
    await service.attach("beta")


async def _both_attached(service: Service) -> None:
    await _two_networks(service)
    await service.attach("alpha")


async def _all_gone(service: Service) -> None:
    await service.endpoints.detach(_OWNER)
    for name in ("alpha", "beta", "net"):
        await service.remove(name)


SCENARIOS = (
    Scenario("create", _nothing, lambda s: s.create("net", "10.77.3.0/24"), _all_gone),
    Scenario(
        "remove",
        lambda s: s.create("net", "10.77.3.0/24"),
        lambda s: s.remove("net"),
        _all_gone,
    ),
    Scenario("attach", _two_networks, lambda s: s.attach("alpha"), _all_gone),
    Scenario("detach", _both_attached, lambda s: s.detach("alpha"), _all_gone),
)


def _kill_before(step: int) -> None:
    """Have this process end itself before the step of a number."""
    left = [step]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    run, transaction = Worker.run, Store.transaction

    async def counted_run(self: Worker, *arguments: Any, **named: Any) -> Any:
        count()
        result = await run(self, *arguments, **named)
        count()
        return result

    @contextlib.contextmanager
    def counted_transaction(self: Store) -> Iterator[Any]:
        count()
        with transaction(self) as tx:
            yield tx
        count()

    Worker.run, Store.transaction = counted_run, counted_transaction  # type: ignore[method-assign]


async def _started(root: Path, box: Namespace) -> Service:
    config = Config(root=root, run=root / "run", instance=_INSTANCE)
    store = Store.open(config.data("network") / "network.db", MIGRATIONS)
    journal = Journal(store, "scow-network")
    worker = Worker()
    parts = Parts(
        worker=worker,
        drivers=drivers.make(worker, _INSTANCE, 0),
        table=Table(_INSTANCE),
        files=Files(config.data("network")),
        section=config.network,
        instance=_INSTANCE,
    )
    networks = Networks(store, journal, parts.drivers, config.network, _INSTANCE)
    networks.record()
    endpoints = Endpoints(store, journal, networks, parts)
    rows = NetworkStore(store)
    reconciler = Reconciler(rows, networks, endpoints, parts, Peers(config))
    await reconciler.run()
    users = UserNetworks(store, journal, networks, endpoints, parts)
    return Service(config, store, parts, networks, endpoints, users, reconciler, box)


def _in_child(work: Callable[[], Awaitable[None]]) -> int:
    """Do work in a process of its own; return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work())  # type: ignore[arg-type]
            os._exit(0)
        except BaseException:  # the parent tells of it
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _attempt(scenario: Scenario, root: Path, box: Namespace, step: int) -> bool:
    """Kill the operation before a step; return whether it was still under way then."""

    async def killed() -> None:
        service = await _started(root, box)
        await scenario.before(service)
        service.check()
        _kill_before(step)
        await scenario.operation(service)

    async def recovered() -> None:
        service = await _started(root, box)
        service.check()
        await scenario.operation(service)
        service.check()
        await scenario.undo(service)
        await service.endpoints.close()
        service.check()

    code = _in_child(killed)
    assert code in (0, -signal.SIGKILL), f"{scenario.name}, step {step}: {code}"
    assert _in_child(recovered) == 0, f"{scenario.name}, killed before step {step}"
    return code != 0


def main() -> None:
    """Run all scenarios."""
    root, box = Path(sys.argv[1]), Namespace()
    try:
        for scenario in SCENARIOS:
            steps = 0
            while _attempt(scenario, root, box, steps):
                steps += 1
                assert steps < _MOST_STEPS
            print(f"{scenario.name}: killed at {steps} steps")
    finally:
        box.end()


if __name__ == "__main__":
    main()
