"""A bind with a layer on top that takes what is written: `--mount type=overlay`.

The layer is in a tmpfs that is attached nowhere. It counts to the container's memory, and ends with the last mount over
it: nothing is left, whoever is killed.
"""

from __future__ import annotations

import dataclasses
import errno
import os

from scow.contract.errors import KernelUnsupported
from scow.kernel import syscalls
from scow.shim.oci.config import Mount
from scow.shim.rootfs import mounts

TYPE = "scow.overlay"
_UPPER, _WORK = "upper", "work"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def make(mount: Mount, options: mounts.Options) -> int:
    """Return the overlay, attached nowhere.

    Raises:
        BindSourceNotFound; MountFailed, or KernelUnsupported before
            Linux 6.15, whose overlayfs takes no layers that are attached nowhere.
    """
    opened = [mounts.bind(mount, dataclasses.replace(options, data=[]))]
    try:
        mounts.map_ids(opened[0], mount)
        space = Mount(mount.destination, "tmpfs", "tmpfs", ())
        sized = mounts.Options(set=syscalls.MS_NODEV, data=["mode=700", *options.data])
        opened.append(mounts.filesystem(space, sized))
        opened += _layers(*opened)
        return _mount(mount, *opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _layers(lower: int, space: int) -> list[int]:
    """Make the upper directory, as the lower one is, and the working one."""
    found = os.fstat(lower)
    layers = []
    for name in (_UPPER, _WORK):
        os.mkdir(name, 0o700, dir_fd=space)
        layers.append(os.open(name, _FOLDER, dir_fd=space))
    os.chown(_UPPER, found.st_uid, found.st_gid, dir_fd=space)
    os.chmod(_UPPER, found.st_mode & 0o7777, dir_fd=space)
    return layers


def _mount(mount: Mount, lower: int, space: int, upper: int, work: int) -> int:
    context = syscalls.fsopen("overlay")
    try:
        for key, descriptor in (("lowerdir+", lower), ("upperdir", upper), ("workdir", work)):
            syscalls.fsconfig_fd(context, key, descriptor)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, 0)
    except OSError as error:
        detail = mounts.kernel_message(context)
        if error.errno == errno.EINVAL and not detail:
            raise KernelUnsupported(
                f"could not mount an overlay at {mount.destination}: this takes Linux 6.15",
                what="mount",
                which=mount.destination,
                do="use type=bind,readonly or a volume",
            ) from error
        raise mounts.failed(mount, error, detail) from error
    finally:
        os.close(context)
