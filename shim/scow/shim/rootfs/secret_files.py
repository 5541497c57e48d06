"""Secrets in a container: files on a tmpfs of its own at /run/secrets, read-only.

One with another place is a file of the same tmpfs that is mounted there, and has no name in /run/secrets.
"""

from __future__ import annotations

import json
import os
import struct

from scow.kernel import syscalls
from scow.shim.oci.config import Mount, Spec
from scow.shim.rootfs import idmap, mounts

FOLDER = "/run/secrets"
_LENGTH = struct.Struct(">I")
_HIDDEN = ".{}"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def place(root: int, spec: Spec, source: int, *, shifted: bool) -> None:
    """Put secrets into a container's root.

    Args:
        root: Descriptor of it.
        spec: The container's.
        source: Descriptor of what is in them: the length of a list in JSON, the list (target, uid, gid, mode and size
            of each), and their contents.
        shifted: The container has a user namespace of its own.

    Raises:
        MountFailed: With the kernel's words.
    """
    entry = Mount(FOLDER, "tmpfs", "tmpfs", ())
    limits = syscalls.MS_NODEV | syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    space = mounts.filesystem(entry, mounts.Options(set=limits, data=["mode=755"]))
    try:
        if shifted:
            os.chown(".", *_ids(spec, 0, 0), dir_fd=space)
        elsewhere = _write(space, spec, source, shifted=shifted)
        mounts.put(root, entry, space)
        for name, target in elsewhere:
            _put_elsewhere(root, space, name, target)
        syscalls.mount_setattr(space, set_=syscalls.MS_RDONLY)
    finally:
        os.close(space)


def _write(space: int, spec: Spec, source: int, *, shifted: bool) -> list[tuple[str, str]]:
    """Write the files; return those that belong elsewhere, by name and target."""
    elsewhere = []
    with open(source, "rb", closefd=False) as given:
        (length,) = _LENGTH.unpack(given.read(_LENGTH.size))
        for number, (target, uid, gid, mode, size) in enumerate(json.loads(given.read(length))):
            folder, _, name = target.rpartition("/")
            if folder != FOLDER:
                name = _HIDDEN.format(number)
                elsewhere.append((name, target))
            with open(os.open(name, _NEW, 0o600, dir_fd=space), "wb") as file:
                file.write(given.read(size))
                os.fchown(file.fileno(), *(_ids(spec, uid, gid) if shifted else (uid, gid)))
                os.fchmod(file.fileno(), mode)
    return elsewhere


def _put_elsewhere(root: int, space: int, name: str, target: str) -> None:
    copy = syscalls.open_tree(space, name, syscalls.OPEN_TREE_CLONE)
    try:
        syscalls.mount_setattr(copy, set_=syscalls.MS_RDONLY)
        mounts.put(root, Mount(target, "bind", FOLDER, ("bind",)), copy)
        os.unlink(name, dir_fd=space)
    finally:
        os.close(copy)


def _ids(spec: Spec, uid: int, gid: int) -> tuple[int, int]:
    return idmap.host_id(uid, spec.uids), idmap.host_id(gid, spec.gids)
