import os

import pytest

from scow.api.container.v1.container_pb2 import DeviceLimit, Resources, Ulimit
from scow.container.spec import limits
from scow.contract.errors import InvalidConfig

MIB = 1 << 20


def test_docker_gives_as_much_swap_again() -> None:
    found = limits.resources_of(Resources(memory=64 * MIB))
    assert found["memory"] == {"limit": 64 * MIB, "swap": 128 * MIB}
    found = limits.resources_of(Resources(memory=64 * MIB, memory_swap=-1))
    assert found["memory"]["swap"] == -1


def test_cpu_and_pids() -> None:
    found = limits.resources_of(
        Resources(nano_cpus=1_500_000_000, cpu_shares=512, cpuset_cpus="0", pids_limit=7)
    )
    assert found["cpu"] == {"quota": 150_000, "period": 100_000, "shares": 512, "cpus": "0"}
    assert found["pids"] == {"limit": 7}


def test_further_limits() -> None:
    found = limits.resources_of(
        Resources(
            memory_swappiness=0,
            oom_kill_disable=True,
            cpu_period=50_000,
            cpu_quota=-1,
            cpu_rt_runtime=1,
            cpuset_mems="0",
            blkio_weight=10,
            hugepages={"2MB": 1},
            memory_high=2,
            cgroup_conf={"pids.max": "3"},
        )
    )
    assert found == {
        "memory": {"swappiness": 0, "disableOOMKiller": True},
        "cpu": {"quota": -1, "period": 50_000, "realtimeRuntime": 1, "mems": "0"},
        "blockIO": {"weight": 10},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
        "unified": {"pids.max": "3", "memory.high": "2"},
    }


@pytest.mark.parametrize("resources", [Resources(), Resources(pids_limit=-1)])
def test_no_limit_is_none(resources: Resources) -> None:
    limits.check(resources)
    assert limits.resources_of(resources) == {}


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        (Resources(memory=MIB), "memory"),
        (Resources(memory=-1), "memory"),
        (Resources(memory_swap=64 * MIB), "memory_swap"),
        (Resources(memory=64 * MIB, memory_swap=32 * MIB), "memory_swap"),
        (Resources(memory=64 * MIB, memory_swap=-2), "memory_swap"),
        (Resources(memory=64 * MIB, memory_reservation=65 * MIB), "memory_reservation"),
        (Resources(nano_cpus=1), "nano_cpus"),
        (Resources(nano_cpus=10**9 * ((os.cpu_count() or 1) + 1)), "nano_cpus"),
        (Resources(cpu_shares=1), "cpu_shares"),
        (Resources(pids_limit=-2), "pids_limit"),
        (Resources(cpuset_cpus="a"), "cpuset_cpus"),
        (Resources(cpuset_cpus="1-0"), "cpuset_cpus"),
        (Resources(cpuset_cpus="0,99999"), "cpuset_cpus"),
        (Resources(cpuset_mems="99999"), "cpuset_mems"),
        (Resources(nano_cpus=10**9, cpu_period=1000), "nano_cpus"),
        (Resources(cpu_period=1), "cpu_period"),
        (Resources(cpu_quota=-2), "cpu_quota"),
        (Resources(cpu_rt_period=10, cpu_rt_runtime=11), "cpu_rt_runtime"),
        (Resources(memory_high=-1), "memory_high"),
        (Resources(memory_swappiness=101), "memory_swappiness"),
        (Resources(blkio_weight=9), "blkio_weight"),
        (Resources(device_read_bps=[DeviceLimit(path="x")]), "device_read_bps"),
        (
            Resources(blkio_weight_devices=[DeviceLimit(path="/x", value=1)]),
            "blkio_weight_devices",
        ),
        (Resources(hugepages={"2M": 1}), "hugepages"),
        (Resources(cgroup_conf={"a/b": "1"}), "cgroup_conf"),
        (Resources(cgroup_conf={"cgroup.kill": "1"}), "cgroup_conf"),
    ],
)
def test_contradictions_name_the_field(resources: Resources, field: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        limits.check(resources)
    assert caught.value.which == f"resources.{field}"


def test_ulimits() -> None:
    found = limits.rlimits_of(
        [Ulimit(name="nofile", soft=1, hard=2), Ulimit(name="CORE", soft=-1, hard=-1)]
    )
    assert found == [
        {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]


@pytest.mark.parametrize(
    "limit",
    [
        Ulimit(name="files", soft=1, hard=1),
        Ulimit(name="nofile", soft=2, hard=1),
        Ulimit(name="nofile", soft=-1, hard=1),
        Ulimit(name="nofile", soft=-2, hard=1),
    ],
)
def test_wrong_ulimits_are_refused(limit: Ulimit) -> None:
    with pytest.raises(InvalidConfig):
        limits.rlimits_of([limit])
