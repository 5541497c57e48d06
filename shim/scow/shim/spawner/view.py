"""A container's root file system to be read by others: a mount of its own, attached nowhere.

It is read-only and does not disturb the container, which may be running: what the container changed is one more lower
directory. The mount lives for as long as its descriptor: nothing is left when whoever has that dies.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from scow.contract.errors import InvalidConfig
from scow.kernel import syscalls
from scow.shim.oci.config import Mount
from scow.shim.rootfs import mounts as attach
from scow.shim.rootfs import root as rootfs

# Where it is mounted for a moment, in a mount namespace that ends with this process: a directory that is everywhere.
_PLACE = "/proc"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LOWER, _UPPER, _WORK = "lowerdir=", "upperdir=", "workdir="


def open_view(entries: Iterable[Mount], held: Mapping[str, int]) -> int:
    """Return the descriptor (O_PATH) of the view's root. Moves this process, a child, to another mount namespace.

    Args:
        entries: As rootfs.json has them.
        held: Layers that the spawner has mounted (`layers`).

    Raises:
        MountFailed or KernelUnsupported, LayerCorrupt;
            InvalidConfig without entries.
        OSError: What the kernel refuses.
    """
    _enter(entries := list(entries))
    rootfs.mount_entries(_PLACE, [read_only(entry) for entry in entries], held)
    root = syscalls.open_tree(syscalls.AT_FDCWD, _PLACE, syscalls.OPEN_TREE_CLONE)
    try:
        limits = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount_setattr(root, set_=limits)
    except BaseException:
        os.close(root)
        raise
    return root


def open_whole(
    entries: Iterable[Mount],
    mounts: Iterable[Mount],
    held: Mapping[str, int],
    *,
    read_only_root: bool,
) -> int:
    """Return the descriptor (O_PATH) of the root as the container would have it, to be written to.

    Nobody else may have it mounted meanwhile. Moves this process, a child, to another mount namespace.

    Args:
        entries: As rootfs.json has them.
        mounts: Binds in it.
        held: Layers that the spawner has mounted (`layers`).
        read_only_root: Whether only the mounts may be written to.

    Raises:
        As `open_view`; BindSourceNotFound, InvalidMount.
    """
    _enter(entries := list(entries))
    # While /proc is still the host's: what is mounted over it is a stranger's.
    own = os.open("/proc/self/fd", _FOLDER)
    sources = [
        (mount, attach.detached(mount, attach.parse_options(mount.options))) for mount in mounts
    ]
    rootfs.mount_entries(_PLACE, entries, held)
    made = os.open(_PLACE, _FOLDER)
    for mount, source in sources:
        attach.put(made, mount, source, own)
    flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
    root = syscalls.open_tree(syscalls.AT_FDCWD, _PLACE, flags)
    if read_only_root:
        syscalls.mount_setattr(root, set_=syscalls.MS_RDONLY)
    return root


def _enter(entries: Sequence[Mount]) -> None:
    """Move to a mount namespace of this process's own."""
    if not entries:  # the place itself would be shown
        text = "a root file system without mounts cannot be read"
        raise InvalidConfig(text, what="rootfs.json")
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_PRIVATE | syscalls.MS_REC, None)


def read_only(entry: Mount) -> Mount:
    """Return an overlay with its upper directory as the topmost lower one; other mounts stay as they are."""
    upper = _value(entry, _UPPER)
    if not upper:
        return entry
    options = [
        f"{_LOWER}{upper}:{option.removeprefix(_LOWER)}" if option.startswith(_LOWER) else option
        for option in entry.options
        if not option.startswith((_UPPER, _WORK))
    ]
    return dataclasses.replace(entry, options=tuple(options))


def _value(entry: Mount, key: str) -> str:
    return next((o.removeprefix(key) for o in entry.options if o.startswith(key)), "")
