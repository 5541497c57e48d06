"""/sys/fs/cgroup inside of a container, for each layout of the host.

- v2: one cgroup2 file system, rooted at the container by its cgroup namespace.
- v1 and hybrid: a tmpfs with one directory for each hierarchy. With a cgroup namespace each is a new mount of that
  hierarchy, otherwise a bind of the container's own directory in it; controllers that share a hierarchy get
  symbolic links ("cpu" -> "cpu,cpuacct"). An additional v2 hierarchy is shown as "unified".

Without a cgroup namespace, v2 shows the host's whole tree, as Docker's `--cgroupns host` does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from scow.kernel import rootpath, syscalls
from scow.shim.oci.config import Mount
from scow.shim.rootfs import mounts


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One cgroup hierarchy of the host and the container's directory in it."""

    mountpoint: str
    # Controllers ("cpu", "cpuacct") or ("name=systemd",); empty for v2.
    controllers: tuple[str, ...]
    # Absolute directory of the container's cgroup.
    directory: str


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The container's cgroups, and whether it has a cgroup namespace."""

    hierarchies: tuple[Hierarchy, ...]
    namespaced: bool


def attach(root: int, mount: Mount, options: mounts.Options, cgroups: Cgroups) -> None:
    """Mount the cgroup file systems at `mount.destination`."""
    flags = tuple(name for name in mount.options if name in mounts.ATTRIBUTES)
    if all(not hierarchy.controllers for hierarchy in cgroups.hierarchies):
        _attach_unified(root, mount.destination, flags, cgroups)
        return
    writable = tuple(name for name in flags if name != "ro")
    cover = Mount(mount.destination, "tmpfs", "tmpfs", (*writable, "mode=755"))
    mounts.attach(root, cover, mounts.parse_options(cover.options))
    for hierarchy in cgroups.hierarchies:
        _attach_hierarchy(root, mount.destination, flags, hierarchy, cgroups.namespaced)
    if "ro" in flags:
        point = rootpath.open_in(root, mount.destination)
        syscalls.mount_setattr(point, set_=syscalls.MS_RDONLY)
        os.close(point)


def _attach_unified(root: int, destination: str, flags: tuple[str, ...], cgroups: Cgroups) -> None:
    if cgroups.namespaced:
        entry = Mount(destination, "cgroup2", "cgroup", flags)
    else:
        entry = Mount(destination, "bind", cgroups.hierarchies[0].mountpoint, ("bind", *flags))
    mounts.attach(root, entry, mounts.parse_options(entry.options))


def _attach_hierarchy(
    root: int, destination: str, flags: tuple[str, ...], hierarchy: Hierarchy, namespaced: bool
) -> None:
    name = os.path.basename(hierarchy.mountpoint)
    target = os.path.join(destination, name)
    if not namespaced:
        entry = Mount(target, "bind", hierarchy.directory, ("bind", *flags))
    elif hierarchy.controllers:
        entry = Mount(target, "cgroup", "cgroup", (*flags, *hierarchy.controllers))
    else:
        entry = Mount(target, "cgroup2", "cgroup", flags)
    mounts.attach(root, entry, mounts.parse_options(entry.options))
    if len(hierarchy.controllers) > 1:
        parent = rootpath.open_in(root, destination)
        for controller in hierarchy.controllers:
            if controller != name:
                os.symlink(name, controller, dir_fd=parent)
        os.close(parent)
