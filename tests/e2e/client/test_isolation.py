"""Limits and namespaces by the library, async and sync."""

from __future__ import annotations

import pytest

from scow.client import AsyncClient, Client
from scow.container.spec.kernel_limits import is_unified
from scow.contract.errors import KernelUnsupported, NotFound
from tests.support.engine import Engine


def test_limits_and_ids(engine: Engine) -> None:
    with Client(engine.host) as client:
        made = client.containers.create(
            "busybox",
            ["sleep", "60"],
            memory=64 << 20,
            cpu_period=50_000,
            cpu_quota=25_000,
            cpuset_mems="0",
            userns_mode="auto",
            time_offsets={"boottime": 86_400 * 10**9},
            device_cgroup_rules=["c 10:237 r"],
        )
        assert made.id_range.size == 65_536
        client.containers.start(made.id)
        found = client.containers.get_with_size(made.id, size=False, limits=True).container
        name, value = (
            ("memory.max", str(64 << 20)) if is_unified() else ("cpu.cfs_quota_us", "25000")
        )
        assert found.kernel_limits[name] == value
        shown = client.containers.exec(made.id, ["cat", "/proc/self/uid_map"]).stdout.split()
        assert int(shown[1]) == made.id_range.first


async def test_what_is_not_there(engine: Engine) -> None:
    missing = {"memory_swappiness": 1} if is_unified() else {"memory_high": 1 << 20}
    async with AsyncClient(engine.host) as client:
        with pytest.raises(KernelUnsupported):
            await client.containers.create("busybox", **missing)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await client.containers.create("busybox", devices=["acme.com/box=none"])
        with pytest.raises(NotFound):
            await client.containers.create("busybox", device_read_bps={"/dev/none": 1 << 20})
