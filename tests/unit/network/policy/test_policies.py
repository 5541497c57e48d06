"""What the kernel is told of names."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from pathlib import Path

from scow.core.store import Store
from scow.network.kernel.worker import Worker
from scow.network.policy.policies import Policies
from scow.network.store import MIGRATIONS, NetworkStore

ADDRESS = ipaddress.ip_address("192.0.2.1")


async def test_who_asks_meanwhile_waits_for_the_kernel_too(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "network.db", MIGRATIONS)
    worker, go_on = Worker(), threading.Event()
    policies = Policies(worker, NetworkStore(store), "test-nonesuch")
    try:
        before = asyncio.create_task(worker.run(go_on.wait))
        asked = [
            asyncio.create_task(policies.learn("container/box", [0], [ADDRESS], 60))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not any(task.done() for task in asked)
        go_on.set()
        await asyncio.gather(before, *asked)
        # There is no such table: what the kernel refused is told again.
        assert policies._learned.new("container/box", 0, [ADDRESS], 90) == [ADDRESS]
    finally:
        go_on.set()
        worker.close()
        store.close()
