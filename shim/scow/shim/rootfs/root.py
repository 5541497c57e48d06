"""The root file system: mounted in the container's own mount namespace, filled, and pivoted into.

No mount is ever made on the host: the namespace is a copy whose events do not travel back.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping

from scow.contract import paths
from scow.contract.errors import InvalidConfig
from scow.kernel import mountinfo, syscalls
from scow.shim.errors import from_os_error
from scow.shim.init import user_namespace
from scow.shim.oci.config import Mount, Spec
from scow.shim.rootfs import cgroup_mount, devices, idmap, images, mounts, overlay, throwaway
from scow.shim.spawner import layers

# What is made inside of the container: its namespaces and cgroup matter, or what it takes is the container's.
_KERNELS = ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay")
_OWN = frozenset(("bind", *_KERNELS, images.TYPE, throwaway.TYPE))
_PROPAGATION = {
    "": syscalls.MS_SLAVE,
    "private": syscalls.MS_SLAVE,
    "rprivate": syscalls.MS_SLAVE,
    "slave": syscalls.MS_SLAVE,
    "rslave": syscalls.MS_SLAVE,
    "shared": syscalls.MS_SHARED,
    "rshared": syscalls.MS_SHARED,
    "unbindable": syscalls.MS_SLAVE,
    "runbindable": syscalls.MS_SLAVE,
}


def isolate(spec: Spec) -> None:
    """Cut the new mount namespace's events off from the host's.

    Slave and not private, also where the configuration says private: until the pivot this namespace holds a
    copy of every mount of the host, which must not keep the host from unmounting.
    """
    propagation = _PROPAGATION.get(spec.rootfs_propagation)
    if propagation is None:
        text = f"config.json: linux.rootfsPropagation: {spec.rootfs_propagation!r} is none"
        raise InvalidConfig(text, what="config.json")
    syscalls.mount("", "/", "", propagation | syscalls.MS_REC, None)
    if propagation == syscalls.MS_SHARED:
        _make_parent_private(spec.root_path)


def _make_parent_private(path: str) -> None:
    """Make the mount below which the root file system comes private: else it would show on the host."""
    real = os.path.realpath(path)
    points = (entry.mountpoint.rstrip("/") for entry in mountinfo.read())
    best = max((point for point in points if (real + "/").startswith(point + "/")), key=len)
    syscalls.mount("", best or "/", "", syscalls.MS_PRIVATE, None)


def mount_root(spec: Spec, held: Mapping[str, int], namespace: int = -1) -> int:
    """Mount the root file system at `spec.root_path` and return a descriptor of its root.

    Args:
        spec: The container's configuration.
        held: Layers that the spawner has mounted (`layers`).
        namespace: Descriptor of the user namespace that its ids are mapped for; -1: they are not.
    """
    path = spec.root_path
    try:
        if spec.rootfs:
            os.makedirs(path, mode=0o700, exist_ok=True)
        # From here on, also what overlayfs makes beside the upper directory is the container's root's.
        user_namespace.act_as_root(spec)
        mount_entries(path, spec.rootfs or (Mount("", "bind", path, ("rbind",)),), held, namespace)
        root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, "mount the root file system", which=path) from error
    # A root that shares events with the host would show the container's mounts there; pivot_root(2) refuses it.
    shared = spec.rootfs_propagation in ("shared", "rshared")
    if not shared:
        syscalls.mount_setattr(root, flags=syscalls.AT_RECURSIVE, propagation=syscalls.MS_PRIVATE)
    return root


def mount_entries(
    path: str, entries: Iterable[Mount], held: Mapping[str, int], namespace: int = -1
) -> None:
    """Mount what makes a root file system at a path, in this process's mount namespace.

    Args:
        path: An existing directory.
        entries: As rootfs.json has them.
        held: Descriptors of layers that are mounted already, by the path of their index. Others are mounted here.
        namespace: As `mount_root`.

    Raises:
        MountFailed or KernelUnsupported, LayerCorrupt.
    """
    own: dict[str, int] = {}
    try:
        for entry in entries:
            if entry.type == layers.TYPE:
                if entry.source not in held:
                    own[entry.source] = layers.mount(entry)
            else:
                _mount_one(entry, path, {**held, **own}, namespace)
    finally:
        for descriptor in own.values():
            os.close(descriptor)


def _mount_one(entry: Mount, path: str, lower: Mapping[str, int], namespace: int) -> None:
    options = mounts.parse_options(entry.options)
    if namespace >= 0 and entry.type == "overlay":
        idmap.mount_overlay(path, entry, lower, namespace)
        return
    if options.bind or entry.type == "bind":
        flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if options.recursive else 0)
        source = syscalls.open_tree(syscalls.AT_FDCWD, entry.source, flags)
        mounts.set_attributes(source, options)
        if namespace >= 0:
            idmap.set_ids(source, namespace, recursive=options.recursive)
    elif lower:
        source = overlay.by_descriptors(entry, lower)
    else:
        overlay.mount_at(path, entry)
        return
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        syscalls.move_mount(source, target)
    finally:
        os.close(source)
        os.close(target)


def open_filesystems(spec: Spec) -> dict[str, int]:
    """Make the file systems that are on devices, servers and the like; return descriptors by their places.

    The engine has to do this: the container's cgroup does not let its members open the devices.

    Raises:
        MountFailed.
    """
    made: dict[str, int] = {}
    shared: set[str] = set()
    try:
        for mount in spec.mounts:
            options = mounts.parse_options(mount.options)
            if not (options.bind or mount.type in _OWN or options.shared in shared):
                shared.update({options.shared} - {""})
                made[mount.destination] = mounts.filesystem(mount, options)
    except BaseException:
        for descriptor in made.values():
            os.close(descriptor)
        raise
    return made


def fill(
    root: int,
    spec: Spec,
    cgroups: cgroup_mount.Cgroups,
    held: Mapping[str, int],
    opened: Mapping[str, int],
    namespace: int = -1,
) -> dict[str, int]:
    """Mount what the configuration lists, make /dev, mask and protect paths.

    Args:
        root: Descriptor of the root file system.
        spec: The container's configuration.
        cgroups: Of the container.
        held: Layers that the spawner has mounted, for images that are mounted besides.
        opened: As `open_filesystems` returned them; they are closed.
        namespace: Descriptor of the user namespace that ids are mapped for; -1: they are not.

    Returns:
        Ids, by their destinations, of the mounts that may be taken away again.
    """
    kept: dict[str, int] = {}
    ids: dict[str, int] = {}
    for plain in spec.mounts:
        mount = idmap.mapped(plain, spec, namespace)
        options = mounts.parse_options(mount.options)
        if options.shared:
            made = _put(root, mount, _shared(mount, options, opened, kept))
        elif mount.destination in opened:
            made = _put(root, mount, mounts.part_of(opened[mount.destination], mount))
        elif mount.type == images.TYPE:
            whole = images.make(spec.images.get(mount.destination, ()), held, namespace)
            made = _put(root, plain, mounts.part_of(whole, plain))  # its layers are mapped
        else:
            made = mount_entry(root, mount, cgroups)
        if options.detachable:
            ids[mount.destination] = made
    for descriptor in kept.values():
        os.close(descriptor)
    if not _dev_is_bound(spec):
        devices.make_nodes(root, spec.devices)
    for path in spec.masked_paths:
        mounts.mask(root, path)
    for path in spec.readonly_paths:
        mounts.make_readonly(root, path)
    return ids


def mount_entry(root: int, mount: Mount, cgroups: cgroup_mount.Cgroups) -> int:
    """Mount one entry; return its id, or 0 for cgroups, which have rules of their own."""
    options = mounts.parse_options(mount.options)
    if mount.type == "cgroup":
        cgroup_mount.attach(root, mount, options, cgroups)
        return 0
    if mount.type == throwaway.TYPE:
        made = throwaway.make(mount, options)
        return _put(root, dataclasses.replace(mount, options=()), made)  # its lower layer is mapped
    return mounts.attach(root, mount, options)


def _shared(
    mount: Mount, options: mounts.Options, opened: Mapping[str, int], kept: dict[str, int]
) -> int:
    """Return the mount of a file system that may be in several places: made for the first, cloned for the others."""
    whole = kept.get(options.shared)
    if whole is None:
        whole = opened.get(mount.destination, -1)
        if whole < 0:
            whole = mounts.filesystem(mount, options)
        kept[options.shared] = whole
        if not options.subpath:
            return os.dup(whole)
    return mounts.clone(whole, mount, options)


def _put(root: int, mount: Mount, made: int) -> int:
    try:
        return mounts.put(root, mount, made)
    finally:
        os.close(made)


def _dev_is_bound(spec: Spec) -> bool:
    return any(
        paths.shortest(mount.destination) == "/dev"
        and (mount.type == "bind" or {"bind", "rbind"} & set(mount.options))
        for mount in spec.mounts
    )


def finish(root: int, spec: Spec) -> None:
    """Make the root read-only if asked, and pivot into it."""
    if spec.root_readonly:
        syscalls.mount_setattr(root, set_=syscalls.MS_RDONLY)
    _pivot(root)
    if spec.rootfs_propagation in ("private", "rprivate", "unbindable", "runbindable"):
        recursive = syscalls.MS_REC if spec.rootfs_propagation.startswith("r") else 0
        kind = syscalls.MS_PRIVATE
        if spec.rootfs_propagation.endswith("unbindable"):
            kind = syscalls.MS_UNBINDABLE
        syscalls.mount("", "/", "", kind | recursive, None)


def _pivot(root: int) -> None:
    """pivot_root(".", "."): the old root ends stacked on the new one and is detached from there."""
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    # Slave again: detaching must not unmount anything of the host.
    syscalls.mount("", ".", "", syscalls.MS_SLAVE | syscalls.MS_REC, None)
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
