"""Mounts for containers with a user namespace: files have in there the owners that they have on the host.

A mount is mapped while it is attached nowhere (mount_setattr(2), MOUNT_ATTR_IDMAP; ext4 from Linux 5.12 on, xfs 5.12,
btrfs 5.15, tmpfs 6.3). What root of the container writes belongs to the host's root in the file system, and other
containers with another user namespace, or none, see the same owners.
"""

from __future__ import annotations

import errno
import os

from scow.contract.errors import KernelUnsupported
from scow.kernel import syscalls
from scow.shim.oci.config import Mount
from scow.shim.rootfs import mounts


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


def apply(source: int, users: int, mount: Mount) -> None:
    """Map the owners in a mount, with all below it, as a user namespace has them.

    Args:
        source: Descriptor of the mount, which is attached nowhere.
        users: Of the namespace.
        mount: The entry that it is of.

    Raises:
        KernelUnsupported: Its file system cannot be mapped, or one of those below it.
        MountFailed: With the kernel's words.
    """
    try:
        syscalls.mount_setattr(
            source, flags=syscalls.AT_RECURSIVE, set_=syscalls.MOUNT_ATTR_IDMAP, users=users
        )
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise mounts.failed(mount, error) from error
        text = f"owners cannot be mapped in the file system of the mount at {mount.destination}"
        raise KernelUnsupported(
            text,
            what="mount",
            which=mount.destination,
            do="use a volume on ext4, xfs, btrfs or tmpfs, or a container without a user namespace",
        ) from error
