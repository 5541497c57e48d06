"""cgroups version 1 (kernel documentation, admin-guide/cgroup-v1), also with an additional empty v2 hierarchy.

A process enters by writing "0" into `tasks` itself: moving just itself needs no lock on all of
the machine's processes, and so no wait for an RCU grace period.

In the hybrid layout the container has a directory in the v2 hierarchy too. No limit is there, but cgroup.kill is.
"""

from __future__ import annotations

import os
from dataclasses import replace

from scow.contract.errors import KernelUnsupported
from scow.shim.cgroup import base
from scow.shim.oci.config import BlockIO, DeviceRule, Resources
from scow.shim.rootfs.cgroup_mount import Cgroups, Hierarchy

_UNLIMITED = 1 << 62  # memory.limit_in_bytes of an unlimited cgroup is a little below 2**63


class CgroupV1(base.Cgroup):
    """One directory in each v1 hierarchy, and in the v2 hierarchy where there is one."""

    def __init__(
        self, hierarchies: tuple[tuple[str, tuple[str, ...]], ...], unified: str | None, path: str
    ) -> None:
        self._hierarchies = tuple(
            Hierarchy(mountpoint, controllers, mountpoint + path)
            for mountpoint, controllers in hierarchies
        )
        self._unified = Hierarchy(unified, (), unified + path) if unified else None
        self._by_controller = {
            controller: hierarchy.directory
            for hierarchy in self._hierarchies
            for controller in hierarchy.controllers
        }
        every = (*self._hierarchies, *((self._unified,) if self._unified else ()))
        # The unified one first: killing begins with cgroup.kill.
        self.directories = tuple(hierarchy.directory for hierarchy in reversed(every))
        self._every = every

    def create(self, resources: Resources) -> list[str]:
        """Make the directories, parents included, and set the limits; return warnings."""
        for hierarchy in self._every:
            base.make(hierarchy.directory)
            if "cpuset" in hierarchy.controllers:
                _inherit_cpuset(hierarchy.mountpoint, hierarchy.directory)
        return self.update(resources)

    def update(self, resources: Resources) -> list[str]:
        """Change limits; return warnings."""
        warnings = self._set_memory(resources)
        self._set_cpu(resources)
        if resources.pids is not None:
            self._write("pids", "pids.max", "max" if resources.pids <= 0 else resources.pids)
        self._set_block_io(resources.block_io)
        for size, limit in resources.hugepages:
            self._write("hugetlb", f"hugetlb.{size}.limit_in_bytes", limit)
        if resources.unified:
            text = "files of cgroup v2 cannot be set: this host has cgroup v1"
            raise KernelUnsupported(text, what="cgroup", which=resources.unified[0][0])
        if resources.devices:
            for rule in (*resources.devices, *base.DEFAULT_DEVICES):
                self._write(
                    "devices", "devices.allow" if rule.allow else "devices.deny", _device(rule)
                )
        return warnings

    def _write(self, controller: str, name: str, value: object) -> None:
        directory = self._by_controller.get(controller)
        if directory is None:
            text = f"cannot set {name}: the host has no {controller} cgroup hierarchy"
            raise KernelUnsupported(text, what="cgroup", which=controller)
        base.write(directory, name, value)

    def _set_block_io(self, limits: BlockIO) -> None:
        # The weights of CFQ, which kernels from 5.0 on have not, or of BFQ.
        flavour = "blkio" if self._has("blkio", "blkio.weight") else "blkio.bfq"
        if limits.weight:
            self._write("blkio", f"{flavour}.weight", limits.weight)
        for name, values in (
            (f"{flavour}.weight_device", limits.weights),
            ("blkio.throttle.read_bps_device", limits.read_bps),
            ("blkio.throttle.write_bps_device", limits.write_bps),
            ("blkio.throttle.read_iops_device", limits.read_iops),
            ("blkio.throttle.write_iops_device", limits.write_iops),
        ):
            for each in values:
                self._write("blkio", name, f"{each.major}:{each.minor} {each.value}")

    def _has(self, controller: str, name: str) -> bool:
        return os.path.exists(os.path.join(self._by_controller.get(controller, ""), name))

    def _set_memory(self, resources: Resources) -> list[str]:
        if resources.swappiness is not None:
            self._write("memory", "memory.swappiness", resources.swappiness)
        if resources.oom_kill_disable:
            self._write("memory", "memory.oom_control", 1)
        if resources.memory_reservation is not None:
            self._write("memory", "memory.soft_limit_in_bytes", resources.memory_reservation)
        if resources.memory_swap is not None and not self._counts_swap():
            self._set_memory(replace(resources, memory_swap=None))
            return [base.NO_SWAP_LIMIT] if resources.memory_swap > 0 else []
        memory = ("memory.limit_in_bytes", resources.memory)
        swap = ("memory.memsw.limit_in_bytes", resources.memory_swap)
        # Memory must never exceed memory and swap together, so raising starts with the latter.
        order = (memory, swap)
        current = self._read_memory("memory.memsw.limit_in_bytes")
        if resources.memory is not None and (
            resources.memory < 0 or resources.memory > current > 0
        ):
            order = (swap, memory)
        for name, value in order:
            if value is not None:
                self._write("memory", name, value)
        return []

    def _counts_swap(self) -> bool:
        directory = self._by_controller.get("memory", "")
        return os.path.exists(os.path.join(directory, "memory.memsw.limit_in_bytes"))

    def _read_memory(self, name: str) -> int:
        return base.number(self._by_controller.get("memory", ""), name)

    def _set_cpu(self, resources: Resources) -> None:
        if resources.cpu_shares:
            self._write("cpu", "cpu.shares", resources.cpu_shares)
        if resources.cpu_period:
            self._write("cpu", "cpu.cfs_period_us", resources.cpu_period)
        if resources.cpu_quota:
            self._write("cpu", "cpu.cfs_quota_us", resources.cpu_quota)
        if resources.cpu_rt_runtime or resources.cpu_rt_period:
            self._set_real_time(resources)
        if resources.cpuset_cpus:
            self._write("cpuset", "cpuset.cpus", resources.cpuset_cpus)
        if resources.cpuset_mems:
            self._write("cpuset", "cpuset.mems", resources.cpuset_mems)

    def _set_real_time(self, resources: Resources) -> None:
        """Set what real-time processes get; a group has at most what those above it have."""
        mountpoint, path = next(
            (each.mountpoint, each.directory)
            for each in self._hierarchies
            if "cpu" in each.controllers
        )
        runtime, period = resources.cpu_rt_runtime or 0, resources.cpu_rt_period
        directory = mountpoint
        for part in path[len(mountpoint) :].strip("/").split("/"):
            directory = os.path.join(directory, part)
            last = directory == path
            if period and last:
                base.write(directory, "cpu.rt_period_us", period)
            if last or base.number(directory, "cpu.rt_runtime_us") < runtime:
                base.write(directory, "cpu.rt_runtime_us", runtime)

    def open_for_clone(self) -> int | None:
        """Open the directory in the v2 hierarchy, if there is one."""
        if self._unified is None:
            return None
        return os.open(self._unified.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move this process into the directory of each v1 hierarchy."""
        for hierarchy in self._hierarchies:
            base.write(hierarchy.directory, "tasks", 0)

    def visible(self, namespaced: bool) -> Cgroups:
        """Describe every hierarchy."""
        return Cgroups(self._every, namespaced)

    def freeze(self) -> None:
        """Freeze through the freezer hierarchy, or v2 where that is missing."""
        if "freezer" in self._by_controller:
            self._write("freezer", "freezer.state", "FROZEN")
        else:
            self._write_unified("cgroup.freeze", 1)

    def thaw(self) -> None:
        """Undo `freeze`."""
        if "freezer" in self._by_controller:
            self._write("freezer", "freezer.state", "THAWED")
        else:
            self._write_unified("cgroup.freeze", 0)

    def _write_unified(self, name: str, value: object) -> None:
        if self._unified is None:
            text = "the host has neither a freezer cgroup hierarchy nor cgroup v2"
            raise KernelUnsupported(text, what="cgroup")
        base.write(self._unified.directory, name, value)

    def stats(self) -> base.Stats:
        """Read the counters of memory, cpuacct and pids."""
        memory = self._by_controller.get("memory", "")
        processes = self._by_controller.get("pids", "")
        limit = self._read_memory("memory.limit_in_bytes")
        usage = self._read_memory("memory.usage_in_bytes")
        cache = base.field(memory, "memory.stat", "total_inactive_file")
        return base.Stats(
            memory_usage=max(usage - cache, 0),
            memory_limit=0 if limit > _UNLIMITED else limit,
            cpu_usage=base.number(self._by_controller.get("cpuacct", ""), "cpuacct.usage"),
            pids=base.number(processes, "pids.current"),
            pids_limit=base.number(processes, "pids.max"),
            oom_kills=self.oom_kills(),
        )

    def frozen(self) -> bool:
        """Read what `freeze` writes."""
        if "freezer" in self._by_controller:
            return base.read(self._by_controller["freezer"], "freezer.state") not in ("", "THAWED")
        return (
            self._unified is not None and base.number(self._unified.directory, "cgroup.freeze") == 1
        )

    def oom_file(self) -> str | None:
        """Return the path of memory.oom_control."""
        path = os.path.join(self._by_controller.get("memory", ""), "memory.oom_control")
        return path if os.path.exists(path) else None

    def oom_kills(self) -> int:
        """Read memory.oom_control."""
        directory = self._by_controller.get("memory", "")
        return base.field(directory, "memory.oom_control", "oom_kill")


def _inherit_cpuset(mountpoint: str, directory: str) -> None:
    """Copy processors and memory nodes down: a v1 cpuset without any takes no process."""
    path = mountpoint
    for part in directory[len(mountpoint) :].strip("/").split("/"):
        parent, path = path, os.path.join(path, part)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not base.read(path, name):
                base.write(path, name, base.read(parent, name))


def _device(rule: DeviceRule) -> str:
    if rule.type == "a" and rule.major is None and rule.minor is None:
        return "a"
    major = "*" if rule.major is None else rule.major
    minor = "*" if rule.minor is None else rule.minor
    return f"{rule.type} {major}:{minor} {rule.access}"
