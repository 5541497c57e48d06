"""What this kernel can limit, and what it does limit for a container that runs.

A limit that the kernel does not have is refused when a container is created. The files that stand for limits are those
of the kernel's documentation (admin-guide/cgroup-v1, admin-guide/cgroup-v2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from scow.api.container.v1.container_pb2 import ContainerConfig, Resources
from scow.contract.errors import KernelUnsupported
from scow.contract.shim_files import State

_CGROUPS = Path("/sys/fs/cgroup")
# Field of Resources: files of v1 and of v2 of which one must be there; none: that version cannot.
_FILES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "memory": (("memory.limit_in_bytes",), ("memory.max",)),
    "memory_swap": (("memory.memsw.limit_in_bytes",), ("memory.swap.max",)),
    "memory_reservation": (("memory.soft_limit_in_bytes",), ("memory.low",)),
    "memory_high": ((), ("memory.high",)),
    "memory_swappiness": (("memory.swappiness",), ()),
    "oom_kill_disable": (("memory.oom_control",), ()),
    "nano_cpus": (("cpu.cfs_quota_us",), ("cpu.max",)),
    "cpu_period": (("cpu.cfs_period_us",), ("cpu.max",)),
    "cpu_quota": (("cpu.cfs_quota_us",), ("cpu.max",)),
    "cpu_shares": (("cpu.shares",), ("cpu.weight",)),
    "cpu_rt_period": (("cpu.rt_period_us",), ()),
    "cpu_rt_runtime": (("cpu.rt_runtime_us",), ()),
    "cpuset_cpus": (("cpuset.cpus",), ("cpuset.cpus",)),
    "cpuset_mems": (("cpuset.mems",), ("cpuset.mems",)),
    "pids_limit": (("pids.max",), ("pids.max",)),
    "blkio_weight": (("blkio.weight", "blkio.bfq.weight"), ("io.weight", "io.bfq.weight")),
    "blkio_weight_devices": (
        ("blkio.weight_device", "blkio.bfq.weight_device"),
        ("io.weight", "io.bfq.weight"),
    ),
    "device_read_bps": (("blkio.throttle.read_bps_device",), ("io.max",)),
    "device_write_bps": (("blkio.throttle.write_bps_device",), ("io.max",)),
    "device_read_iops": (("blkio.throttle.read_iops_device",), ("io.max",)),
    "device_write_iops": (("blkio.throttle.write_iops_device",), ("io.max",)),
}
# Controllers of v1 with files that the root has not.
_BELOW_ROOT = ("pids.", "blkio.", "hugetlb.")


def is_unified(cgroups: Path = _CGROUPS) -> bool:
    """Tell whether the hierarchy of cgroups is v2; the file is there from its first moment (cgroups(7))."""
    return (cgroups / "cgroup.controllers").exists()


def check(resources: Resources, cgroups: Path = _CGROUPS) -> None:
    """Refuse limits that this kernel does not have.

    Args:
        resources: The limits.
        cgroups: Where cgroups are mounted.

    Raises:
        KernelUnsupported: It names the limit.
    """
    unified = is_unified(cgroups)
    has = _has_v2 if unified else _has_v1
    for field, files in _wanted(resources, unified):
        if not any(has(cgroups, name) for name in files):
            version = "v2" if unified else "v1"
            missing = f" ({' or '.join(files)})" if files else ""
            raise KernelUnsupported(
                f"this host's cgroup {version} has no limit {field}{missing}",
                what="limit",
                which=f"resources.{field}",
                do="leave the limit out, or use a kernel that has it",
            )
    for each in resources.blkio_weight_devices:
        _check_scheduler(each.path, cgroups, unified)


def _check_scheduler(path: str, cgroups: Path, unified: bool) -> None:
    """Refuse a weight for a device whose scheduler knows none: only BFQ has, unless the kernel weighs by costs."""
    plain = "io.weight" if unified else "blkio.weight_device"
    if (_has_v2 if unified else _has_v1)(cgroups, plain):
        return
    number = os.stat(path).st_rdev
    scheduler = _read(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/queue/scheduler")
    if "[bfq]" not in scheduler:
        raise KernelUnsupported(
            f"{path} has no weights: its scheduler is not bfq ({scheduler or 'it has none'})",
            what="limit",
            which="resources.blkio_weight_devices",
            do="write bfq to queue/scheduler of the device in /sys/block, or leave the limit out",
        )


def _wanted(resources: Resources, unified: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each limit that is asked for, and the files of which one must be there."""
    for field, files in _FILES.items():
        value = getattr(resources, field)
        # Without a limit nothing is written, nor for the one that is no limit.
        if field == "memory_swappiness":
            value = resources.HasField("memory_swappiness")
        if value and not (field in ("memory_swap", "pids_limit") and value == -1):
            yield field, files[unified]
    for size in resources.hugepages:
        yield f"hugepages[{size}]", (f"hugetlb.{size}.{'max' if unified else 'limit_in_bytes'}",)
    for name in resources.cgroup_conf:
        yield f"cgroup_conf[{name}]", (name,) if unified else ()


def _has_v1(cgroups: Path, name: str) -> bool:
    controller = cgroups / name.partition(".")[0]
    if (controller / name).exists():
        return True
    if not name.startswith(_BELOW_ROOT):
        return False
    groups = [entry for entry in _children(controller) if entry.is_dir()]
    if not groups:  # the first container will be the one to tell
        return controller.is_dir()
    return any(os.path.exists(os.path.join(entry.path, name)) for entry in groups)


def _has_v2(cgroups: Path, name: str) -> bool:
    controller = name.partition(".")[0]
    if controller == "cgroup":
        return True
    if controller not in (cgroups / "cgroup.controllers").read_text().split():
        return False
    groups = [entry for entry in _children(cgroups) if entry.is_dir()]
    # The root has no limits. Where no group has the controller yet, the first container will be the one to tell.
    if controller not in (cgroups / "cgroup.subtree_control").read_text().split() or not groups:
        return True
    return any(os.path.exists(os.path.join(entry.path, name)) for entry in groups)


def _children(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as scan:
            return list(scan)
    except OSError:
        return []


def of_container(state_dir: Path, config: ContainerConfig, pid: int) -> dict[str, str]:
    """Return the limits that the kernel has for a container that runs, by the names of their files.

    Args:
        state_dir: Where its shim writes.
        config: Of the container.
        pid: Of its init; its "oom_score_adj" is among the limits.
    """
    state = State.read(state_dir)
    if state is None:
        return {}
    # Most names are not in most of a version 1's directories: to list these is quicker than to try.
    places: dict[str, str] = {}
    for directory in state.cgroups:
        for entry in _children(Path(directory)):
            places.setdefault(entry.name, entry.path)
    found = {}
    for name in _names(config.resources):
        if name in places and (text := _read(places[name])):
            found[name] = text
    score = _read(f"/proc/{pid}/oom_score_adj")
    return found | ({"oom_score_adj": score} if score else {})


def _names(resources: Resources) -> Iterable[str]:
    names = [name for version in (0, 1) for files in _FILES.values() for name in files[version]]
    for size in resources.hugepages:
        names += [f"hugetlb.{size}.limit_in_bytes", f"hugetlb.{size}.max"]
    return dict.fromkeys((*names, *resources.cgroup_conf))


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(4096).strip()
    except OSError:
        return ""
