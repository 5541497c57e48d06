"""cgroups version 2 (kernel documentation, admin-guide/cgroup-v2).

The init is cloned right into its cgroup (CLONE_INTO_CGROUP): moving a running process would wait for an RCU grace
period, several milliseconds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from scow.contract.errors import KernelUnsupported, ScowError
from scow.shim.cgroup import base, bpf
from scow.shim.oci.config import BlockIO, Resources
from scow.shim.rootfs.cgroup_mount import Cgroups, Hierarchy

_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
_NO_FREEZER = "the kernel's cgroup v2 has no freezer (Linux 5.2)"


class CgroupV2(base.Cgroup):
    """One directory in the only hierarchy."""

    def __init__(self, mountpoint: str, path: str) -> None:
        self._mountpoint = mountpoint
        self._directory = mountpoint + path
        self.directories = (self._directory,)

    def create(self, resources: Resources) -> list[str]:
        """Hand the controllers down to the parent, make the directory, set the limits."""
        self._delegate(_controllers(resources))
        base.make(self._directory)
        return self.update(resources)

    def _delegate(self, controllers: Iterable[str]) -> None:
        """Enable controllers in every cgroup from the root down to the parent."""
        path = self._mountpoint
        parts = self._directory[len(self._mountpoint) :].strip("/").split("/")
        for part in parts:
            _enable(path, controllers)
            path = os.path.join(path, part)
            if path != self._directory:
                os.makedirs(path, mode=0o755, exist_ok=True)

    def update(self, resources: Resources) -> list[str]:
        """Change limits; return warnings."""
        warnings = self._set_memory(resources)
        self._set_cpu(resources)
        if resources.pids is not None:
            self._write("pids.max", "max" if resources.pids <= 0 else resources.pids)
        self._set_block_io(resources.block_io)
        for size, limit in resources.hugepages:
            self._write(f"hugetlb.{size}.max", limit)
        for name, text in resources.unified:
            self._write(name, text)
        if resources.devices:
            bpf.confine_devices(self._directory, (*resources.devices, *base.DEFAULT_DEVICES))
        return warnings

    def _write(self, name: str, value: object) -> None:
        base.write(self._directory, name, value)

    def _set_block_io(self, limits: BlockIO) -> None:
        bfq = not self._has("io.weight") and self._has("io.bfq.weight")
        name = "io.bfq.weight" if bfq else "io.weight"
        if limits.weight:
            # BFQ's weights are v1's.
            self._write(name, f"default {limits.weight if bfq else io_weight(limits.weight)}")
        for each in limits.weights:
            weight = each.value if bfq else io_weight(each.value)
            self._write(name, f"{each.major}:{each.minor} {weight}")
        for key, values in (
            ("rbps", limits.read_bps),
            ("wbps", limits.write_bps),
            ("riops", limits.read_iops),
            ("wiops", limits.write_iops),
        ):
            for each in values:
                self._write("io.max", f"{each.major}:{each.minor} {key}={each.value}")

    def _has(self, name: str) -> bool:
        return os.path.exists(os.path.join(self._directory, name))

    def _set_memory(self, resources: Resources) -> list[str]:
        for wanted, name in (
            (resources.swappiness is not None, "memory.swappiness"),
            (resources.oom_kill_disable, "disableOOMKiller"),
        ):
            if wanted:
                raise KernelUnsupported(f"cgroup v2 has no {name}", what="cgroup", which=name)
        if resources.memory_reservation is not None:
            self._write("memory.low", resources.memory_reservation)
        if resources.memory is not None:
            self._write("memory.max", "max" if resources.memory < 0 else resources.memory)
        if resources.memory_swap is None:
            return []
        if not os.path.exists(os.path.join(self._directory, "memory.swap.max")):
            return [base.NO_SWAP_LIMIT] if resources.memory_swap > 0 else []
        if resources.memory_swap < 0:
            swap = "max"
        else:
            memory = resources.memory
            if memory is None:
                memory = base.number(self._directory, "memory.max")
            swap = str(max(resources.memory_swap - memory, 0))
        self._write("memory.swap.max", swap)
        return []

    def _set_cpu(self, resources: Resources) -> None:
        if resources.cpu_rt_runtime or resources.cpu_rt_period:
            text = "cgroup v2 has no limits of real-time scheduling"
            raise KernelUnsupported(text, what="cgroup", which="cpu.rt_runtime_us")
        if resources.cpu_shares:
            self._write("cpu.weight", cpu_weight(resources.cpu_shares))
        if resources.cpu_quota or resources.cpu_period:
            quota = resources.cpu_quota or -1
            limit = "max" if quota < 0 else quota
            self._write("cpu.max", f"{limit} {resources.cpu_period or 100_000}")
        if resources.cpuset_cpus:
            self._write("cpuset.cpus", resources.cpuset_cpus)
        if resources.cpuset_mems:
            self._write("cpuset.mems", resources.cpuset_mems)

    def open_for_clone(self) -> int | None:
        """Open the directory."""
        return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Nothing: the process was cloned into it."""

    def visible(self, namespaced: bool) -> Cgroups:
        """Describe the one hierarchy."""
        return Cgroups((Hierarchy(self._mountpoint, (), self._directory),), namespaced)

    def freeze(self) -> None:
        """Write cgroup.freeze."""
        self._freeze(1)

    def thaw(self) -> None:
        """Undo `freeze`."""
        self._freeze(0)

    def _freeze(self, value: int) -> None:
        if not os.path.exists(os.path.join(self._directory, "cgroup.freeze")):
            raise KernelUnsupported(_NO_FREEZER, what="cgroup")
        self._write("cgroup.freeze", value)

    def stats(self) -> base.Stats:
        """Read the counters of memory, cpu and pids."""
        directory = self._directory
        usage = base.number(directory, "memory.current")
        cache = base.field(directory, "memory.stat", "inactive_file")
        return base.Stats(
            memory_usage=max(usage - cache, 0),
            memory_limit=base.number(directory, "memory.max"),
            cpu_usage=base.field(directory, "cpu.stat", "usage_usec") * 1000,
            pids=base.number(directory, "pids.current"),
            pids_limit=base.number(directory, "pids.max"),
            oom_kills=self.oom_kills(),
        )

    def frozen(self) -> bool:
        """Read cgroup.freeze."""
        return base.number(self._directory, "cgroup.freeze") == 1

    def oom_file(self) -> str | None:
        """Return the path of memory.events."""
        path = os.path.join(self._directory, "memory.events")
        return path if os.path.exists(path) else None

    def oom_kills(self) -> int:
        """Read memory.events."""
        return base.field(self._directory, "memory.events", "oom_kill")


def _controllers(resources: Resources) -> list[str]:
    """Return the controllers that a container needs: the usual ones, and those of the files that are to be set."""
    more = {name.partition(".")[0] for name, _ in resources.unified} - {"cgroup"}
    if resources.hugepages:
        more.add("hugetlb")
    return [*_CONTROLLERS, *sorted(more.difference(_CONTROLLERS))]


def _enable(directory: str, controllers: Iterable[str]) -> None:
    """Enable what is available for the children of a cgroup.

    Raises:
        KernelUnsupported when the cgroup has processes of its own ("no internal
            processes").
    """
    available = base.read(directory, "cgroup.controllers").split()
    enabled = base.read(directory, "cgroup.subtree_control").split()
    missing = [name for name in controllers if name in available and name not in enabled]
    if not missing:
        return
    try:
        base.write(directory, "cgroup.subtree_control", " ".join(f"+{name}" for name in missing))
    except ScowError as error:
        if error.metadata.get("errno") != errno.errorcode[errno.EBUSY]:
            raise
        text = f"the cgroup {directory} has processes, so it can have no containers below it"
        raise KernelUnsupported(
            text,
            what="cgroup",
            which=directory,
            do="choose another cgroup parent",
        ) from error


def cpu_weight(shares: int) -> int:
    """Convert v1's shares (2..262144) to v2's weight (1..10000), as every runtime does."""
    shares = min(max(shares, 2), 262144)
    return 1 + (shares - 2) * 9999 // 262142


def io_weight(weight: int) -> int:
    """Convert v1's block weight (10..1000) to v2's (1..10000)."""
    weight = min(max(weight, 10), 1000)
    return 1 + (weight - 10) * 9999 // 990
