"""Limits of a container's cgroup and processes, as OCI `linux.resources` and `process.rlimits`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from scow.api.container.v1.container_pb2 import Resources, Ulimit
from scow.container.model.invalid import invalid
from scow.container.spec import block_io, device_rules

# Docker's least: less does not get a program loaded.
_MIN_MEMORY = 6 << 20
_CPU_PERIOD = 100_000
_MIN_NANO_CPUS = 10_000_000
_UNLIMITED = 2**64 - 1
_NAMES = (
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending "
    "stack"
)
_RLIMITS = frozenset(_NAMES.split())
# The kernel's where none is said (sched_rt_period_us).
_RT_PERIOD = 1_000_000
_PAGE_SIZE = re.compile(r"[1-9][0-9]{0,6}[KMG]B")
_FILE = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)+")
# Files that move, freeze or end processes, or that the engine itself writes.
_OWN_FILES = frozenset(
    f"cgroup.{name}" for name in ("procs", "threads", "type", "subtree_control", "freeze", "kill")
)
_CPUS = re.compile(r"[0-9]{1,9}(-[0-9]{1,9})?(,[0-9]{1,9}(-[0-9]{1,9})?)*")


def check(resources: Resources) -> None:
    """Refuse limits that contradict each other or the machine.

    Raises:
        InvalidConfig: They do.
    """
    _check_memory(resources)
    cpus = os.cpu_count() or 1
    if resources.nano_cpus and not _MIN_NANO_CPUS <= resources.nano_cpus <= cpus * 10**9:
        raise invalid(
            "resources.nano_cpus",
            f"asks for {resources.nano_cpus / 1e9:g} processors",
            f"use 0.01 to {cpus}: this machine has {cpus}",
        )
    if resources.cpu_shares and not 2 <= resources.cpu_shares <= 262144:
        raise invalid("resources.cpu_shares", f"is {resources.cpu_shares}", "use 2 to 262144")
    if resources.pids_limit < -1:
        raise invalid("resources.pids_limit", "is negative", "use -1 for unlimited")
    if resources.cpuset_cpus:
        _check_cpuset("cpuset_cpus", resources.cpuset_cpus, cpus)
    if resources.cpuset_mems:
        _check_cpuset("cpuset_mems", resources.cpuset_mems, _memory_nodes())
    _check_times(resources)
    _check_files(resources)
    block_io.check(resources)
    device_rules.parse(resources.device_cgroup_rules)


def _memory_nodes() -> int:
    """Return one more than the number of the last memory node (kernel documentation, ABI/stable/sysfs-devices-node)."""
    try:
        with open("/sys/devices/system/node/possible", encoding="ascii") as file:
            return int(file.read().strip().rpartition("-")[2].rpartition(",")[2]) + 1
    except (OSError, ValueError):  # a kernel without NUMA
        return 1


def _check_times(resources: Resources) -> None:
    """Refuse times that the scheduler does not take, with Docker's bounds."""
    for field in ("cpu_period", "cpu_quota"):
        if resources.nano_cpus and getattr(resources, field):
            raise invalid(
                "resources.nano_cpus", f"is set, and {field} is too", "leave one of them out"
            )
    if resources.cpu_period and not 1000 <= resources.cpu_period <= 1_000_000:
        raise invalid(
            "resources.cpu_period", f"is {resources.cpu_period}", "use 1000 to 1000000 microseconds"
        )
    if resources.cpu_quota and resources.cpu_quota != -1 and resources.cpu_quota < 1000:
        raise invalid(
            "resources.cpu_quota", f"is {resources.cpu_quota}", "use 1000 microseconds or more"
        )
    for field in ("cpu_rt_period", "cpu_rt_runtime"):
        if getattr(resources, field) < 0:
            raise invalid(f"resources.{field}", "is negative", "use microseconds")
    period = resources.cpu_rt_period or _RT_PERIOD
    if resources.cpu_rt_runtime > period:
        raise invalid(
            "resources.cpu_rt_runtime", "is longer than the period", f"use at most {period}"
        )


def _check_files(resources: Resources) -> None:
    """Refuse what is no file of a cgroup, or would be another container's business."""
    for size, limit in resources.hugepages.items():
        if not _PAGE_SIZE.fullmatch(size) or limit < 0:
            raise invalid(
                "resources.hugepages", f"has {size!r}: {limit}", 'name sizes like "2MB", in bytes'
            )
    for name, text in resources.cgroup_conf.items():
        if not _FILE.fullmatch(name) or name in _OWN_FILES or len(text) > 4096 or "\0" in text:
            raise invalid(
                "resources.cgroup_conf",
                f"has {name!r}",
                'name a file of cgroup v2 that limits something, like "memory.high"',
            )


def _check_memory(resources: Resources) -> None:
    memory, swap = resources.memory, resources.memory_swap
    if memory < 0 or (memory and memory < _MIN_MEMORY):
        raise invalid("resources.memory", f"is {memory} bytes", "use 6 MiB or more")
    if swap > 0 and not memory:
        raise invalid("resources.memory_swap", "is set without memory", "limit the memory too")
    if swap < -1 or 0 < swap < memory:
        raise invalid(
            "resources.memory_swap",
            f"is {swap} bytes, less than memory",
            "it counts memory and swap together; -1 means unlimited swap",
        )
    reservation = resources.memory_reservation
    if reservation < 0 or (memory and reservation > memory):
        raise invalid(
            "resources.memory_reservation",
            f"is {reservation} bytes",
            "use at most resources.memory",
        )
    if resources.memory_high < 0:
        raise invalid("resources.memory_high", "is negative", "use bytes")
    if resources.HasField("memory_swappiness") and not 0 <= resources.memory_swappiness <= 100:
        raise invalid(
            "resources.memory_swappiness", f"is {resources.memory_swappiness}", "use 0 to 100"
        )


def _check_cpuset(field: str, text: str, count: int) -> None:
    if not _CPUS.fullmatch(text):
        raise invalid(f"resources.{field}", f"is {text!r}", 'write it like "0-2,4"')
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first) or int(last or first) >= count:
            raise invalid(
                f"resources.{field}", f"names {part}", f"this machine has 0 to {count - 1}"
            )


def resources_of(resources: Resources) -> dict[str, Any]:
    """Return OCI `linux.resources` but for the devices.

    Raises:
        NotFound: The host has no such block device.
    """
    found: dict[str, Any] = {
        "memory": _memory(resources),
        "cpu": _cpu(resources),
        "pids": {"limit": resources.pids_limit} if resources.pids_limit > 0 else {},
        "blockIO": block_io.block_io(resources),
        "hugepageLimits": [
            {"pageSize": size, "limit": limit} for size, limit in resources.hugepages.items()
        ],
        "unified": dict(resources.cgroup_conf),
    }
    if resources.memory_high:
        found["unified"].setdefault("memory.high", str(resources.memory_high))
    return {key: value for key, value in found.items() if value}


def _memory(resources: Resources) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if resources.memory:
        memory["limit"] = resources.memory
        # As Docker: as much swap again, unless the caller says otherwise.
        memory["swap"] = resources.memory_swap or 2 * resources.memory
    if resources.memory_reservation:
        memory["reservation"] = resources.memory_reservation
    if resources.HasField("memory_swappiness"):
        memory["swappiness"] = resources.memory_swappiness
    if resources.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(resources: Resources) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if resources.nano_cpus:
        cpu["quota"] = resources.nano_cpus * _CPU_PERIOD // 10**9
        cpu["period"] = _CPU_PERIOD
    for key, field in (
        ("quota", "cpu_quota"),
        ("period", "cpu_period"),
        ("shares", "cpu_shares"),
        ("realtimePeriod", "cpu_rt_period"),
        ("realtimeRuntime", "cpu_rt_runtime"),
        ("cpus", "cpuset_cpus"),
        ("mems", "cpuset_mems"),
    ):
        if getattr(resources, field):
            cpu[key] = getattr(resources, field)
    return cpu


def rlimits_of(ulimits: Iterable[Ulimit]) -> list[dict[str, Any]]:
    """Return OCI `process.rlimits`.

    Raises:
        InvalidConfig: An unknown name, or a soft limit above the hard one.
    """
    found = {}
    for limit in ulimits:
        name = limit.name.lower()
        if name not in _RLIMITS:
            raise invalid(
                "ulimits",
                f"has the unknown name {limit.name!r}",
                f"use {', '.join(sorted(_RLIMITS))}",
            )
        soft, hard = _rlimit(limit.soft), _rlimit(limit.hard)
        if soft > hard:
            raise invalid(
                "ulimits", f"has {name} with soft above hard", f"use at most {limit.hard}"
            )
        found[name] = {"type": f"RLIMIT_{name.upper()}", "soft": soft, "hard": hard}
    return list(found.values())


def _rlimit(value: int) -> int:
    if value < -1:
        raise invalid("ulimits", f"has the value {value}", "use -1 for unlimited")
    return _UNLIMITED if value == -1 else value
