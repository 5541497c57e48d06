"""What a monitor records, and when."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import HealthCheck
from scow.container.health.checks import checks_of
from scow.container.health.monitors import Monitors
from scow.container.health.state import UNHEALTHY, begun
from scow.container.lifecycle.transitions import Transitions
from scow.container.model.containers import Containers
from scow.container.model.paths import Paths
from scow.container.runtime.shim import Shim
from scow.container.store import MIGRATIONS, ContainerStore
from scow.core.config import Config
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.tasks import Background


async def test_a_status_that_could_not_be_recorded_is_recorded_by_a_later_round(
    tmp_path: Path,
) -> None:
    with contextlib.closing(Store.open(tmp_path / "container.db", MIGRATIONS)) as store:
        containers = Containers(ContainerStore(store), Journal(store, "test", 1000))
        check = HealthCheck(test=["CMD", "true"], interval=10**6, retries=1)
        described = pb.Container(id="a" * 64, name="web", status=pb.STATUS_RUNNING)
        described.health_check.CopyFrom(check)
        described.health.CopyFrom(begun(checks_of(described)))
        entry = containers.reserve(described)
        shared: Any = SimpleNamespace(
            spawner=None,
            paths=Paths(Config(root=tmp_path / "root", run=tmp_path / "run")),
            transitions=Transitions(containers),
            background=Background(),
        )
        with store.transaction() as tx:
            tx.execute("PRAGMA query_only=ON")  # as with a file system that has become read-only
        shim = Shim(entry.id, tmp_path / "none", tmp_path)
        watching = asyncio.create_task(Monitors(shared, {}).watch(entry, shim))
        async with asyncio.timeout(10):
            while len(entry.health.log if entry.health else ()) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert entry.described.health.status != UNHEALTHY
        tx.execute("PRAGMA query_only=OFF")
        assert await entry.until(lambda: entry.described.health.status == UNHEALTHY, 10)
        watching.cancel()
        await asyncio.wait([watching])
