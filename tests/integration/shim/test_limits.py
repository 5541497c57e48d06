"""Limits of memory, processors and processes; running out of memory; counters."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.contract.errors import ContainerNotRunning, ContainerSetupFailed, InvalidConfig, ScowError
from scow.shim import cgroup
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import Box
from tests.support.processes import wait_for

MIB = 1 << 20
VERSION = cgroup.discover().version
# File and value of a limit on each version.
MEMORY = {1: "memory.limit_in_bytes", 2: "memory.max"}
CPU = {1: ("cpu.cfs_quota_us", "50000"), 2: ("cpu.max", "50000 100000")}
SHARES = {1: ("cpu.shares", "512"), 2: ("cpu.weight", "20")}


def limited(script: str, **resources: object) -> dict[str, object]:
    made = config(args=["sh", "-c", script])
    made["linux"]["resources"].update(resources)
    return made


def read(container: Box, name: str) -> str:
    """Return what the kernel says of a limit."""
    found = [path for directory in container.cgroups() if (path := directory / name).exists()]
    return found[0].read_text().strip()


def test_limits_reach_the_kernel(box: MakeBox) -> None:
    made = limited(
        "sleep 1000",
        memory={"limit": 64 * MIB},
        cpu={"quota": 50_000, "period": 100_000, "shares": 512},
        pids={"limit": 23},
    )
    container = box(made).start()
    assert read(container, MEMORY[VERSION]) == str(64 * MIB)
    for name, value in (CPU[VERSION], SHARES[VERSION]):
        assert read(container, name) == value
    assert read(container, "pids.max") == "23"
    stats = container.stub.Stats(pb.StatsRequest())
    assert (stats.memory_limit, stats.pids_limit, stats.pids) == (64 * MIB, 23, 1)
    assert stats.memory_usage > 0
    assert stats.oom_kills == 0


def _disk() -> tuple[int, int]:
    """Return the numbers of a whole disk of this machine."""
    virtual = ("loop", "ram", "zram", "fd", "sr", "dm-")
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(virtual) and Path("/dev", name).exists():
            number = Path("/dev", name).stat().st_rdev
            return os.major(number), os.minor(number)
    raise AssertionError("this machine has no disk")


def test_limits_of_disks(box: MakeBox) -> None:
    major, minor = _disk()
    device = {"major": major, "minor": minor}
    block_io = {
        "throttleReadBpsDevice": [{**device, "rate": MIB}],
        "throttleWriteIOPSDevice": [{**device, "rate": 100}],
    }
    container = box(limited("sleep 1000", blockIO=block_io, cpu={"mems": "0"})).start()
    if VERSION == 2:
        found = read(container, "io.max")
        assert found.startswith(f"{major}:{minor} rbps={MIB} ")
        assert found.endswith(" wiops=100")
    else:
        found = read(container, "blkio.throttle.read_bps_device")
        assert found == f"{major}:{minor} {MIB}"
        found = read(container, "blkio.throttle.write_iops_device")
        assert found == f"{major}:{minor} 100"
    assert read(container, "cpuset.mems") == "0"


def test_limits_of_one_version(box: MakeBox) -> None:
    older: dict[str, Any] = {
        "memory": {"limit": 64 * MIB, "swappiness": 10, "disableOOMKiller": True}
    }
    newer: dict[str, Any] = {"unified": {"memory.high": str(32 * MIB), "pids.max": "9"}}
    if VERSION == 2:
        container = box(limited("sleep 1000", **newer)).start()
        assert read(container, "memory.high") == str(32 * MIB)
        assert read(container, "pids.max") == "9"
        refused = older
    else:
        container = box(limited("sleep 1000", **older)).start()
        assert read(container, "memory.swappiness") == "10"
        assert read(container, "memory.oom_control").startswith("oom_kill_disable 1")
        refused = newer
    with pytest.raises(ScowError) as raised:
        box(limited("true", **refused)).run()
    assert raised.value.reason == "KERNEL_UNSUPPORTED"


def test_out_of_memory_is_seen_and_told(box: MakeBox) -> None:
    # tail keeps what has no line in memory.
    made = limited("exec tail /dev/zero", memory={"limit": 16 * MIB, "swap": 16 * MIB})
    container = box(made)
    result = container.run()
    assert (result.code, result.exit.signal) == (137, 9)
    assert result.exit.oom_killed
    assert '"oom_killed": true' in (container.state / "exit.json").read_text()


def test_a_child_that_is_out_of_memory_is_told_too(box: MakeBox) -> None:
    made = limited("tail /dev/zero; echo went on", memory={"limit": 16 * MIB, "swap": 16 * MIB})
    result = box(made).run()
    assert (result.code, result.text) == (0, "went on")
    assert result.exit.oom_killed


def test_too_many_processes(box: MakeBox) -> None:
    made = limited("for n in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo all", pids={"limit": 5})
    container = box(made)
    result = container.run()
    assert b"can't fork" in result.err
    assert result.text != "all"


def test_processor_time_is_limited_and_counted(box: MakeBox) -> None:
    made = limited("while :; do :; done", cpu={"quota": 20_000, "period": 100_000})
    container = box(made).start()
    started = time.monotonic()
    before = container.stub.Stats(pb.StatsRequest()).cpu_usage
    time.sleep(1.5)
    used = container.stub.Stats(pb.StatsRequest()).cpu_usage - before
    assert 0 < used < 0.45e9 * (time.monotonic() - started)


def update(container: Box, **resources: dict[str, int]) -> None:
    container.stub.Update(pb.UpdateRequest(resources=json.dumps(resources).encode()))


def test_update_changes_what_it_names(box: MakeBox) -> None:
    made = limited("sleep 1000", memory={"limit": 64 * MIB}, pids={"limit": 23})
    container = box(made).start()
    update(container, memory={"limit": 32 * MIB}, cpu={"quota": 50_000, "period": 100_000})
    assert read(container, MEMORY[VERSION]) == str(32 * MIB)
    assert read(container, CPU[VERSION][0]) == CPU[VERSION][1]
    assert read(container, "pids.max") == "23"
    update(container, memory={"limit": 128 * MIB, "swap": 256 * MIB}, pids={"limit": -1})
    assert read(container, MEMORY[VERSION]) == str(128 * MIB)
    assert read(container, "pids.max") == "max"


def test_a_limit_that_the_kernel_refuses(box: MakeBox) -> None:
    made = config()
    made["linux"]["resources"]["cpu"] = {"cpus": "4000-4001"}
    container = box(made)
    with pytest.raises(ScowError) as raised:
        container.spawn()
    assert raised.value.metadata["which"].endswith("cpuset.cpus")
    assert not container.cgroups()


def test_update_after_the_end(box: MakeBox) -> None:
    container = box(config(args=["true"])).start()
    container.wait()
    with pytest.raises((ScowError, OSError)):  # the shim itself may have ended by now
        update(container, pids={"limit": 3})


def test_cgroups_made_by_the_container_go_with_it(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "echo up; sleep 1000"])
    for mount in made["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"].remove("ro")
    container = box(made).start()
    wait_for(lambda: "up" in container.logged(), "the container")
    script = (
        "for d in $(find /sys/fs/cgroup -name cgroup.procs); do mkdir -p ${d%/*}/inner/most; done"
    )
    container.output("sh", "-c", script)
    assert any((path / "inner/most").exists() for path in container.cgroups())
    container.end()
    assert not container.cgroups()


def test_memory_below_what_the_start_needs(box: MakeBox) -> None:
    container = box(limited("true", memory={"limit": 64 << 10, "swap": 64 << 10}))
    try:
        container.run()
    except ContainerNotRunning:
        assert container.wait().oom_killed
    except (ContainerSetupFailed, InvalidConfig):
        assert not container.cgroups()
