"""Limits of a container's cgroup and processes, as OCI `linux.resources` and `process.rlimits`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from scow.api.container.v1.container_pb2 import Resources, Ulimit
from scow.container.model.invalid import invalid

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
        _check_cpuset(resources.cpuset_cpus, cpus)


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


def _check_cpuset(text: str, cpus: int) -> None:
    if not _CPUS.fullmatch(text):
        raise invalid("resources.cpuset_cpus", f"is {text!r}", 'write it like "0-2,4"')
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first) or int(last or first) >= cpus:
            raise invalid(
                "resources.cpuset_cpus", f"names {part}", f"this machine has 0 to {cpus - 1}"
            )


def resources_of(resources: Resources) -> dict[str, Any]:
    """Return OCI `linux.resources` but for the devices."""
    found: dict[str, Any] = {}
    memory: dict[str, int] = {}
    if resources.memory:
        memory["limit"] = resources.memory
        # As Docker: as much swap again, unless the caller says otherwise.
        memory["swap"] = resources.memory_swap or 2 * resources.memory
    if resources.memory_reservation:
        memory["reservation"] = resources.memory_reservation
    cpu: dict[str, Any] = {}
    if resources.nano_cpus:
        cpu["quota"] = resources.nano_cpus * _CPU_PERIOD // 10**9
        cpu["period"] = _CPU_PERIOD
    if resources.cpu_shares:
        cpu["shares"] = resources.cpu_shares
    if resources.cpuset_cpus:
        cpu["cpus"] = resources.cpuset_cpus
    if memory:
        found["memory"] = memory
    if cpu:
        found["cpu"] = cpu
    if resources.pids_limit > 0:
        found["pids"] = {"limit": resources.pids_limit}
    return found


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
