"""Endpoints, as far as no kernel is asked: of the network "host"."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.times import now_ns
from scow.network import drivers
from scow.network.dns.files import Files
from scow.network.drivers.host import HostDriver
from scow.network.endpoints import Endpoints, Parts
from scow.network.firewall.table import Table
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.store import MIGRATIONS, Endpoint, NetworkStore

OWNER = "container/box"


class SlowDriver(HostDriver):
    """Detaches when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def detach(self, endpoint: Endpoint, at_once: bool = False) -> None:
        self.begun.set()
        await self.go.wait()


@pytest.mark.parametrize("network", ["", "host"])
async def test_a_change_whose_caller_goes_away_keeps_the_lock_to_its_end(
    tmp_path: Path, network: str
) -> None:
    store = Store.open(tmp_path / "network.db", MIGRATIONS)
    worker, slow, section = Worker(), SlowDriver(), NetworkSection()
    every = {**drivers.make(worker, "tunit", 0), "host": slow}
    journal, rows = Journal(store, "scow-network"), NetworkStore(store)
    networks = Networks(store, journal, every, section, "tunit")
    networks.record()
    parts = Parts(worker, every, Table("tunit"), Files(tmp_path), section, "tunit")
    endpoints = Endpoints(store, journal, networks, parts)
    host = networks.get("host")
    made = Endpoint(
        id="0" * 64,
        owner=OWNER,
        network_id=host.id,
        name="box",
        addresses=(),
        mac="",
        link="",
        interface="",
        netns_path="",
        netns_id="",
        ports=(),
        aliases=(),
        ready=True,
        created_ns=now_ns(),
    )
    with store.transaction() as tx:
        rows.insert_endpoint(tx, made, host)
    call = asyncio.create_task(endpoints.detach(OWNER, network))
    await slow.begun.wait()
    call.cancel()
    for _ in range(3):
        await asyncio.sleep(0)  # it was cancelled, and waits
    assert endpoints.lock.locked()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not endpoints.lock.locked()
    assert rows.endpoints_of(OWNER) == []
    worker.close()
