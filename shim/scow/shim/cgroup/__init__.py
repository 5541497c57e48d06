"""cgroups behind one interface, chosen once from what the host has mounted."""

from __future__ import annotations

import os
from dataclasses import dataclass

from scow.contract.errors import KernelUnsupported
from scow.kernel import mountinfo
from scow.shim.cgroup.base import (
    Cgroup,
    Stats,
    end,
    kill_all,
    pids_in,
    remove,
    require_free,
    signal_all,
)
from scow.shim.cgroup.v1 import CgroupV1
from scow.shim.cgroup.v2 import CgroupV2

__all__ = [
    "Cgroup",
    "Layout",
    "Stats",
    "discover",
    "end",
    "kill_all",
    "pids_in",
    "remove",
    "require_free",
    "signal_all",
]

_V1_CONTROLLERS = {
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The host's cgroup hierarchies.

    `legacy` has (mount point, controllers) of each v1 hierarchy, `unified` the mount point of v2.
    """

    legacy: tuple[tuple[str, tuple[str, ...]], ...]
    unified: str | None

    @property
    def version(self) -> int:
        """2 when no v1 hierarchy has a controller."""
        controllers = (name for _, names in self.legacy for name in names)
        return 1 if any(name in _V1_CONTROLLERS for name in controllers) else 2

    def cgroup(self, parent: str, name: str) -> Cgroup:
        """Return the cgroup `/<parent>/<name>`; nothing is made yet."""
        path = os.path.normpath(f"/{parent.strip('/')}/{name}")
        if self.version == 2:
            if self.unified is None:
                text = "the host has no cgroup file system mounted"
                raise KernelUnsupported(text, what="cgroup")
            return CgroupV2(self.unified, path)
        return CgroupV1(self.legacy, self.unified, path)

    def parents(self, parent: str) -> tuple[str, ...]:
        """Return the directories of a cgroup parent in every hierarchy."""
        path = os.path.normpath(f"/{parent.strip('/')}")
        points = [mountpoint for mountpoint, _ in self.legacy]
        if self.unified:
            points.append(self.unified)
        return tuple(point + path for point in points if path != "/")


def discover() -> Layout:
    """Read the host's hierarchies from the mount table."""
    legacy: dict[tuple[str, ...], str] = {}
    unified = None
    for entry in mountinfo.read():
        if entry.fstype == "cgroup2":
            unified = unified or entry.mountpoint
        elif entry.fstype == "cgroup":
            controllers = tuple(
                option
                for option in entry.super_options
                if option in _V1_CONTROLLERS or option.startswith("name=")
            )
            legacy.setdefault(controllers, entry.mountpoint)
    return Layout(tuple((point, names) for names, point in legacy.items()), unified)
