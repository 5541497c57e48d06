"""What a kernel can limit, by the files that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig, Resources
from scow.container.spec import kernel_limits
from scow.contract.errors import KernelUnsupported
from scow.contract.shim_files import State

_V1 = ("memory/memory.limit_in_bytes", "memory/memory.swappiness", "cpu/cpu.cfs_quota_us")
_V2 = ("a/memory.max", "a/memory.high", "a/pids.max")


def _host(base: Path, files: tuple[str, ...], controllers: str = "") -> Path:
    for name in files:
        file = base / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("0\n")
    if controllers:
        (base / "cgroup.controllers").write_text(controllers)
        (base / "cgroup.subtree_control").write_text(controllers)
    return base


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        (Resources(memory=1), ""),
        (Resources(memory_swappiness=0), ""),
        (Resources(cpu_quota=-1), ""),
        (Resources(memory_swap=-1, pids_limit=-1), ""),
        (Resources(memory_swap=1), "memory_swap"),
        (Resources(memory_high=1), "memory_high"),
        (Resources(cgroup_conf={"memory.high": "1"}), "cgroup_conf[memory.high]"),
        (Resources(hugepages={"2MB": 1}), "hugepages[2MB]"),
        (Resources(blkio_weight=10), "blkio_weight"),
    ],
)
def test_version_1(tmp_path: Path, resources: Resources, field: str) -> None:
    _check(resources, _host(tmp_path, _V1), field)


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        (Resources(memory=1, memory_high=1, pids_limit=1), ""),
        (Resources(cgroup_conf={"memory.high": "1"}), ""),
        (Resources(memory_swappiness=0), "memory_swappiness"),
        (Resources(oom_kill_disable=True), "oom_kill_disable"),
        (Resources(cpu_rt_runtime=1), "cpu_rt_runtime"),
        (Resources(memory_swap=1), "memory_swap"),
        (Resources(cpuset_cpus="0"), "cpuset_cpus"),
        (Resources(cgroup_conf={"memory.odd": "1"}), "cgroup_conf[memory.odd]"),
    ],
)
def test_version_2(tmp_path: Path, resources: Resources, field: str) -> None:
    _check(resources, _host(tmp_path, _V2, "memory pids"), field)


def test_a_fresh_machine_has_what_its_controllers_say(tmp_path: Path) -> None:
    """The files are in groups below the root, and there is none yet."""
    (tmp_path / "cgroup.controllers").write_text("memory")
    (tmp_path / "cgroup.subtree_control").write_text("")
    _check(Resources(memory=1, memory_swap=1), tmp_path, "")
    _check(Resources(pids_limit=1), tmp_path, "pids_limit")


def _check(resources: Resources, cgroups: Path, field: str) -> None:
    if not field:
        kernel_limits.check(resources, cgroups)
        return
    with pytest.raises(KernelUnsupported) as caught:
        kernel_limits.check(resources, cgroups)
    assert caught.value.which == f"resources.{field}"


def test_what_the_kernel_has(tmp_path: Path) -> None:
    groups = [tmp_path / "memory", tmp_path / "pids"]
    _host(tmp_path, ("memory/memory.limit_in_bytes", "pids/pids.max", "memory/memory.odd"))
    state = State("x", "1", 1, 1, cgroups=[*map(str, groups)])
    (tmp_path / "state.json").write_bytes(state.encode())
    config = ContainerConfig(resources=Resources(cgroup_conf={"memory.odd": "1"}))
    assert kernel_limits.of_container(tmp_path, config, 0) == {
        "memory.limit_in_bytes": "0",
        "pids.max": "0",
        "memory.odd": "0",
    }
