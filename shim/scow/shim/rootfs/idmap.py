"""Mounts whose ids are mapped for a container's user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP).

On the disk everything belongs to whom it belongs to without user namespaces: the id 0 of a layer or a volume is the
container's root, wherever its ids are in the host. So layers are shared between containers of all mappings, and what a
container writes can be committed, copied and compared as it is.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Iterable, Mapping

from scow.contract.errors import KernelUnsupported, MountFailed, ScowError
from scow.kernel import syscalls
from scow.shim.oci.config import IdMap, Mount, Spec
from scow.shim.rootfs import mounts, overlay

# What is made with the container's ids by itself, or belongs to the kernel.
_KERNELS = frozenset(("proc", "sysfs", "mqueue", "cgroup", "cgroup2"))
_OWNERS = ("uid", "gid")
_UPPER = "u"
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def mapped(mount: Mount, spec: Spec, namespace: int) -> Mount:
    """Return a mount with what its options have to say for a user namespace.

    Args:
        mount: As the configuration has it.
        spec: Of the container.
        namespace: Descriptor of the user namespace; -1: it has the host's.
    """
    if namespace < 0 or mount.type in _KERNELS:
        return mount
    options = mounts.parse_options(mount.options)
    if mount.type in ("tmpfs", "devpts") and not options.bind:
        return dataclasses.replace(mount, options=tuple(_shifted(mount.options, spec)))
    if mount.destination == "/dev/shm":
        return mount  # another container's or the host's, with that one's owners
    return dataclasses.replace(mount, options=(*mount.options, f"{mounts.IDMAP}{namespace}"))


def _shifted(options: Iterable[str], spec: Spec) -> Iterable[str]:
    """Yield options of a file system with the host's ids for the container's."""
    for option in options:
        key, equals, value = option.partition("=")
        if key in _OWNERS and equals and value.isascii() and value.isdigit():
            yield f"{key}={host_id(int(value), spec.uids if key == 'uid' else spec.gids)}"
        else:
            yield option


def host_id(number: int, maps: Iterable[IdMap]) -> int:
    """Return the host's id of a container's.

    Raises:
        MountFailed: The container has no such id.
    """
    for each in maps:
        if each.container <= number < each.container + each.size:
            return each.host + number - each.container
    text = f"the container's user namespace has no id {number}"
    raise MountFailed(text, what="namespace", which=str(number))


def users_of(pid: int) -> int:
    """Return a descriptor of a process's user namespace, -1 where that is this process's own.

    Raises:
        OSError: There is no such process.
    """
    theirs = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    if os.path.samestat(os.fstat(theirs), os.stat("/proc/self/ns/user")):
        os.close(theirs)
        return -1
    return theirs


def unmapped(mount: Mount) -> ScowError:
    """Return the error of a mount whose owners can only be nobody."""
    text = f"owners cannot be mapped in the file system of the mount at {mount.destination}"
    return KernelUnsupported(
        text,
        what="mount",
        which=mount.destination,
        do="use a volume on ext4, xfs, btrfs or tmpfs, or a container without a user namespace",
    )


def clone(directory: str, held: Mapping[str, int], namespace: int) -> int:
    """Return a mount of a layer, attached nowhere, with its ids mapped.

    Args:
        directory: Its path, or the key of `held`.
        held: Layers that are mounts already.
        namespace: Descriptor of the user namespace.

    Raises:
        KernelUnsupported: The kernel, or the file system, maps no ids.
    """
    flags = syscalls.OPEN_TREE_CLONE
    found = held.get(directory)
    try:
        if found is None:
            made = syscalls.open_tree(syscalls.AT_FDCWD, directory, flags)
        else:
            made = syscalls.open_tree(found, "", flags | syscalls.AT_EMPTY_PATH)
    except OSError as error:
        if found is None or error.errno != errno.EINVAL:
            raise
        text = "layers that are EROFS take Linux 6.15 in a container with a user namespace"
        raise _unsupported(text, directory) from error
    try:
        set_ids(made, namespace)
    except OSError as error:
        os.close(made)
        text = f"the file system of {directory} cannot map ids: {error.strerror}"
        raise _unsupported(text, directory) from error
    return made


def set_ids(made: int, namespace: int, *, recursive: bool = False) -> None:
    """Map the ids of a mount that is attached nowhere and has not been."""
    syscalls.mount_setattr(
        made,
        flags=syscalls.AT_RECURSIVE if recursive else 0,
        set_=syscalls.MOUNT_ATTR_IDMAP,
        users=namespace,
    )


def _unsupported(text: str, which: str) -> ScowError:
    return KernelUnsupported(
        text,
        what="namespace",
        which=which,
        do="use --userns host, or image.snapshotter = overlay and a file system that maps ids (Linux 5.19)",
    )


def mount_overlay(path: str, entry: Mount, held: Mapping[str, int], namespace: int) -> None:
    """Mount an overlay of layers whose ids are mapped.

    The layers have to be somewhere while overlayfs looks them up: in a tmpfs below the overlay, at the same path.

    Args:
        path: Where.
        entry: As rootfs.json has it.
        held: Layers that are mounts already, by the path that they have in the options.
        namespace: Descriptor of the user namespace.

    Raises:
        MountFailed, KernelUnsupported.
    """
    options = mounts.parse_options(entry.options)
    space = mounts.filesystem(Mount(path, "tmpfs", "tmpfs", ()), mounts.Options(data=["mode=700"]))
    _put(space, path)
    cwd = os.open(".", _PLACE)
    try:
        os.fchdir(space)
        data = ",".join(_place(option, held, namespace) for option in options.data)
        syscalls.mount(entry.source or entry.type, path, entry.type, options.set, data)
    except OSError as error:
        raise overlay.failed(entry, path, ",".join(options.data), error.strerror) from error
    finally:
        os.fchdir(cwd)
        os.close(cwd)
        os.close(space)


def _place(option: str, held: Mapping[str, int], namespace: int) -> str:
    """Put the layers of an option below the working directory; return the option with their places."""
    key, _, value = option.partition("=")
    if key == "lowerdir":
        directories = overlay.split_lower(value)
        for number, directory in enumerate(directories):
            _attach(clone(overlay.unescaped(directory), held, namespace), str(number))
        return "lowerdir=" + ":".join(map(str, range(len(directories))))
    if key not in ("upperdir", "workdir"):
        return option
    # Both have to be of one mount: of the folder that has them.
    folder, name = os.path.split(overlay.unescaped(value))
    if not os.path.isdir(_UPPER):
        _attach(clone(folder, {}, namespace), _UPPER)
    return f"{key}={_UPPER}/{name}"


def _attach(made: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700)
        _put(made, name)
    finally:
        os.close(made)


def _put(made: int, path: str) -> None:
    target = os.open(path, _PLACE)
    try:
        syscalls.move_mount(made, target)
    finally:
        os.close(target)
