"""Layouts of cgroups, conversions, and files; the kernel's part is in the integration tests."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scow.contract.errors import ScowError
from scow.kernel import identity
from scow.shim.cgroup import Layout, base
from scow.shim.cgroup.v1 import CgroupV1
from scow.shim.cgroup.v2 import CgroupV2, cpu_weight, io_weight
from scow.shim.oci.config import Resources

LEGACY = (("/c/memory", ("memory",)), ("/c/cpu", ("cpu", "cpuacct")))


def test_versions() -> None:
    assert Layout((), "/c").version == 2
    assert Layout((("/c/systemd", ("name=systemd",)),), "/c/unified").version == 2
    assert Layout(LEGACY, "/c/unified").version == 1


def test_directories() -> None:
    v1 = Layout(LEGACY, "/c/unified").cgroup("/scow/", "x")
    assert isinstance(v1, CgroupV1)
    assert v1.directories == ("/c/unified/scow/x", "/c/cpu/scow/x", "/c/memory/scow/x")
    v2 = Layout((), "/c").cgroup("scow.slice/a", "x")
    assert isinstance(v2, CgroupV2)
    assert v2.directories == ("/c/scow.slice/a/x",)
    assert Layout(LEGACY, None).parents("scow") == ("/c/memory/scow", "/c/cpu/scow")
    assert Layout(LEGACY, None).parents("/") == ()


def test_a_host_without_cgroups() -> None:
    with pytest.raises(ScowError) as raised:
        Layout((), None).cgroup("scow", "x")
    assert raised.value.reason == "KERNEL_UNSUPPORTED"


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1, 1), (1024, 39), (262144, 10000)])
def test_cpu_weight(shares: int, weight: int) -> None:
    assert cpu_weight(shares) == weight


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (500, 4950), (1000, 10000), (1, 1)])
def test_io_weight(weight: int, expected: int) -> None:
    assert io_weight(weight) == expected


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "number").write_text("42\n")
    (tmp_path / "events").write_text("low 0\noom_kill 3\noom 1\n")
    directory = str(tmp_path)
    assert base.number(directory, "max") == base.number(directory, "none") == 0
    assert base.number(directory, "number") == 42
    assert base.field(directory, "events", "oom_kill") == 3
    assert base.field(directory, "events", "none") == 0


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScowError) as raised:
        base.write(str(tmp_path), "memory.max", 5)
    assert raised.value.metadata["which"] == str(tmp_path / "memory.max")
    assert raised.value.reason == "KERNEL_UNSUPPORTED"


def test_processes_below_count_too(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    base.require_free([str(tmp_path), str(tmp_path / "none")])
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "cgroup.procs").write_text("77\n78\n")
    assert base.pids_in([str(tmp_path)]) == {77, 78}
    with pytest.raises(ScowError) as raised:
        base.require_free([str(tmp_path)])
    assert raised.value.reason == "CONTAINER_RUNNING"


def test_who_has_the_pid_of_one_that_has_ended_is_sent_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = tmp_path / "cgroup.procs"

    def opened(pid: int) -> int:
        members.write_text(f"{staying.pid}\n")  # the other one ends, and a stranger has its PID
        return os.pidfd_open(pid)

    monkeypatch.setattr(identity, "pidfd", opened)
    with (
        subprocess.Popen(["sleep", "60"]) as stranger,
        subprocess.Popen(["sleep", "60"]) as staying,
    ):
        try:
            members.write_text(f"{stranger.pid}\n{staying.pid}\n")
            base.signal_all([str(tmp_path)], signal.SIGTERM)
            assert staying.wait(60) == -signal.SIGTERM
            assert stranger.poll() is None
        finally:
            stranger.kill()
            staying.kill()


def v1_at(path: Path) -> base.Cgroup:
    return CgroupV1(((str(path), ("memory",)),), None, "")


def v2_at(path: Path) -> base.Cgroup:
    return CgroupV2(str(path), "")


@pytest.mark.parametrize(
    ("at", "limit", "swap"),
    [
        (v1_at, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        (v2_at, "memory.max", "memory.swap.max"),
    ],
)
def test_a_kernel_that_does_not_account_swap(
    tmp_path: Path, at: Callable[[Path], base.Cgroup], limit: str, swap: str
) -> None:
    (tmp_path / limit).write_text("0")
    cgroup = at(tmp_path)
    assert cgroup.update(Resources(memory=64 << 20, memory_swap=128 << 20)) == [base.NO_SWAP_LIMIT]
    assert (tmp_path / limit).read_text() == str(64 << 20)
    assert cgroup.update(Resources(memory=64 << 20, memory_swap=-1)) == []
    (tmp_path / swap).write_text("0")
    assert cgroup.update(Resources(memory=64 << 20, memory_swap=128 << 20)) == []
    assert base.number(str(tmp_path), swap) > 0
