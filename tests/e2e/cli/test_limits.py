"""Limits by the command line: what was asked for, and what the kernel has."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from scow.container.spec.kernel_limits import is_unified
from tests.e2e.cli.support import shown
from tests.support.engine import Engine

V2 = is_unified()
_VIRTUAL = ("loop", "ram", "zram", "fd", "sr", "dm-")


def _disk() -> tuple[str, str]:
    """Return a whole disk of this machine and its numbers."""
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(_VIRTUAL) and Path("/dev", name).exists():
            return f"/dev/{name}", Path("/sys/block", name, "dev").read_text().strip()
    raise AssertionError("this machine has no disk")


DISK, NUMBERS = _disk()


def _run(engine: Engine, *flags: str) -> None:
    engine.cli("run", "-d", "--name", "limited", *flags, "busybox", "sleep", "60")


def test_limits_of_both_versions(engine: Engine) -> None:
    _run(
        engine,
        *("--memory", "64m", "--memory-swap", "96m", "--memory-reservation", "32m"),
        *("--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota", "25000"),
        *("--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "50"),
        *("--oom-score-adj", "200"),
        *("--device-read-bps", f"{DISK}:1mb", "--device-write-bps", f"{DISK}:2mb"),
        *("--device-read-iops", f"{DISK}:100", "--device-write-iops", f"{DISK}:200"),
    )
    found = shown(engine, "limited")
    asked, has = found["HostConfig"], found["KernelLimits"]
    assert (asked["CpuPeriod"], asked["CpuQuota"], asked["CpusetMems"]) == (50000, 25000, "0")
    assert asked["BlkioDeviceReadBps"] == [{"Path": DISK, "Rate": 1 << 20}]
    assert asked["BlkioDeviceWriteIOps"] == [{"Path": DISK, "Rate": 200}]
    assert has["oom_score_adj"] == "200"
    assert (has["cpuset.cpus"], has["cpuset.mems"], has["pids.max"]) == ("0", "0", "50")
    if V2:
        assert (has["memory.max"], has["memory.swap.max"]) == (str(64 << 20), str(32 << 20))
        assert (has["memory.low"], has["cpu.max"]) == (str(32 << 20), "25000 50000")
        assert has["io.max"] == f"{NUMBERS} rbps=1048576 wbps=2097152 riops=100 wiops=200"
    else:
        assert has["memory.limit_in_bytes"] == str(64 << 20)
        assert has["memory.memsw.limit_in_bytes"] == str(96 << 20)
        assert has["memory.soft_limit_in_bytes"] == str(32 << 20)
        assert (has["cpu.cfs_quota_us"], has["cpu.cfs_period_us"]) == ("25000", "50000")
        assert has["blkio.throttle.read_bps_device"] == f"{NUMBERS} 1048576"
        assert has["blkio.throttle.write_iops_device"] == f"{NUMBERS} 200"


def test_limits_of_one_version(engine: Engine) -> None:
    (_limits_of_version_2 if V2 else _limits_of_version_1)(engine)


def _limits_of_version_1(engine: Engine) -> None:
    _run(
        engine,
        *("--memory-swappiness", "30", "--oom-kill-disable", "--memory", "64m"),
        *("--cpu-rt-runtime", "1000", "--blkio-weight", "300"),
    )
    found = shown(engine, "limited")
    asked, has = found["HostConfig"], found["KernelLimits"]
    assert (asked["MemorySwappiness"], asked["OomKillDisable"]) == (30, True)
    assert (asked["BlkioWeight"], asked["CpuRealtimeRuntime"]) == (300, 1000)
    assert has["memory.swappiness"] == "30"
    assert has["memory.oom_control"].startswith("oom_kill_disable 1")
    assert has["cpu.rt_runtime_us"] == "1000"
    weight = has.get("blkio.weight") or has["blkio.bfq.weight"]
    assert weight == "300"


def _limits_of_version_2(engine: Engine) -> None:
    _run(engine, "--memory-high", "32m", "--cgroup-conf", "memory.oom.group=1")
    found = shown(engine, "limited")
    assert found["HostConfig"]["CgroupConf"] == {"memory.oom.group": "1"}
    assert found["KernelLimits"]["memory.high"] == str(32 << 20)
    assert found["KernelLimits"]["memory.oom.group"] == "1"


@pytest.mark.parametrize(
    ("flags", "version"),
    [
        (("--memory-high", "32m"), 1),
        (("--cgroup-conf", "memory.high=1"), 1),
        (("--memory-swappiness", "1"), 2),
        (("--oom-kill-disable",), 2),
        (("--cpu-rt-runtime", "1"), 2),
    ],
)
def test_a_limit_that_this_kernel_has_not(
    engine: Engine, flags: tuple[str, ...], version: int
) -> None:
    if (version == 2) == V2:
        done = engine.cli("create", *flags, "busybox", check=False)
        assert done.returncode == 1
        assert re.search("this host's cgroup v[12] has no limit", done.stderr)
        assert engine.cli("ps", "-aq").stdout == ""


def test_weights_of_a_device_without_bfq(engine: Engine) -> None:
    weights = ("--blkio-weight-device", f"{DISK}:200")
    done = engine.cli("create", *weights, "busybox", check=False)
    scheduler = Path("/sys/block", os.path.basename(DISK), "queue/scheduler").read_text()
    if "[bfq]" not in scheduler and not list(Path("/sys/fs/cgroup").glob("*/io.weight")):
        assert f"{DISK} has no weights" in done.stderr
    else:
        assert done.returncode == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--cpus", "1", "--cpu-quota", "5000"), "nano_cpus is set, and cpu_quota is too"),
        (("--cpu-period", "10"), "cpu_period is 10"),
        (("--blkio-weight", "5"), "blkio_weight is 5"),
        (("--device-read-bps", "/dev/nothing:1mb"), "/dev/nothing is not a block device"),
        (("--device-read-bps", "/dev/null:1mb"), "/dev/null is not a block device"),
        (("--memory-swappiness", "101"), "memory_swappiness is 101"),
        (("--cpuset-mems", "99"), "this machine has 0 to"),
        (("--cgroup-parent", "/a/../b"), "cgroup_parent is '/a/../b'"),
        (("--cgroup-conf", "../x=1"), "cgroup_conf has '../x'"),
        (("--cgroup-conf", "cgroup.procs=1"), "cgroup_conf has 'cgroup.procs'"),
        (("--hugepages", "3QB=1m"), "hugepages has '3QB'"),
        (("--storage-opt", "odd=1"), "storage_opts has the unknown option 'odd'"),
        (("--storage-opt", "size=1k"), "storage_opts has the size '1k'"),
    ],
)
def test_refused_at_create(engine: Engine, flags: tuple[str, ...], message: str) -> None:
    done = engine.cli("create", *flags, "busybox", check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert engine.cli("ps", "-aq").stdout == ""


def test_a_limit_of_the_writable_layer(engine: Engine) -> None:
    """It is tested where a file system enforces it, in tests/vm."""
    limit = ("--storage-opt", "size=1g")
    foretold = engine.cli("create", "--dry-run", *limit, "busybox", check=False)
    done = engine.cli("create", *limit, "busybox", check=False)
    assert foretold.returncode == done.returncode
    if done.returncode:
        assert "enforces no limits of projects" in done.stderr
        assert engine.cli("ps", "-aq").stdout == ""
    else:
        assert shown(engine, done.stdout.strip())["HostConfig"]["StorageOpt"] == {"size": "1g"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--device-read-bps", "x:1mb"), "bad format for device path: x:1mb"),
        (("--device-read-bps", "/dev/sda"), "bad format: /dev/sda"),
        (("--device-write-iops", "/dev/sda:x"), "invalid rate for device: /dev/sda:x"),
        (("--blkio-weight-device", "/dev/sda:5"), "invalid weight for device: /dev/sda:5"),
        (("--device-cgroup-rule", "c 1:2"), "invalid device cgroup format 'c 1:2'"),
    ],
)
def test_wrong_flags_are_told_as_docker_does(
    engine: Engine, flags: tuple[str, ...], message: str
) -> None:
    done = engine.cli("create", *flags, "busybox", check=False)
    assert done.returncode == 125
    assert message in done.stderr


def test_device_rules_reach_the_kernel(engine: Engine) -> None:
    """Of a device that need not be there: what is refused is told before that."""

    def refused(use: str, *flags: str) -> bool:
        script = f"mknod /k c 10 237 && {use}"
        done = engine.cli("run", "--rm", *flags, "busybox", "sh", "-c", script, check=False)
        return "Operation not permitted" in done.stderr

    rule = ("--device-cgroup-rule", "c 10:237 r")
    assert refused("head -c 0 /k")
    assert not refused("head -c 0 /k", *rule)
    assert refused(": > /k", *rule)


@pytest.mark.parametrize(
    ("parent", "place"),
    [
        ("/{0}/web", "/{0}/web/"),
        ("{0}-web.slice", "/{0}.slice/{0}-web.slice/"),
    ],
)
def test_cgroup_parent(engine: Engine, parent: str, place: str) -> None:
    name = engine.instance + "p"
    parent, place = parent.format(name), place.format(name)
    _run(engine, "--cgroup-parent", parent, "--cgroupns", "host")
    try:
        found = shown(engine, "limited")
        assert found["HostConfig"]["CgroupParent"] == parent
        own = Path(f"/proc/{found['State']['Pid']}/cgroup").read_text().splitlines()
        paths = {line.split(":", 2)[2] for line in own}
        assert place + found["Id"] in paths
    finally:
        engine.cli("rm", "-f", "limited")
        for top in Path("/sys/fs/cgroup").glob("*") if not V2 else [Path("/sys/fs/cgroup")]:
            for path in (place, os.path.dirname(place.rstrip("/"))):
                if (top / path.strip("/")).is_dir():
                    (top / path.strip("/")).rmdir()


_CDI = """
cdiVersion: "0.6.0"
kind: acme.com/box
devices:
  - name: one
    containerEdits:
      env: ["BOX=one"]
      deviceNodes: [{path: /dev/box, hostPath: /dev/kmsg, permissions: w}]
      mounts: [{hostPath: /etc/hostname, containerPath: /etc/box, options: [ro]}]
"""


def test_devices_of_cdi(engine: Engine) -> None:
    engine.cdi.mkdir(exist_ok=True)
    (engine.cdi / "acme.yaml").write_text(_CDI)
    script = "echo $BOX; test -c /dev/box && test -s /etc/box; echo > /etc/box || echo read-only"
    device = ("--device", "acme.com/box=one")
    done = engine.cli("run", "--name", "boxed", *device, "busybox", "sh", "-c", script)
    assert done.stdout == "one\nread-only\n"
    (request,) = shown(engine, "boxed")["HostConfig"]["DeviceRequests"]
    assert request["DeviceIDs"] == ["acme.com/box=one"]


@pytest.mark.parametrize("flags", [("--device", "acme.com/box=no"), ("--gpus", "all")])
def test_devices_of_cdi_that_are_not_there(engine: Engine, flags: tuple[str, str]) -> None:
    done = engine.cli("create", *flags, "busybox", check=False)
    assert done.returncode == 1
    assert "unresolvable CDI devices" in done.stderr
    assert engine.cli("ps", "-aq").stdout == ""
