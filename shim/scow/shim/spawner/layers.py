"""Layers that are file systems: mounted once for all containers, attached nowhere.

An image's layer may be an EROFS index beside its tar (`scow.image.layers.erofs`). Two mounts of one index do not share
their page cache, so the spawner mounts each layer once and the shims, its children, inherit the descriptor. Such a
mount is in no mount namespace: nobody can see, reach or unmount it, and it ends with its last descriptor and the last
overlay over it. Overlayfs takes it by descriptor, as a private copy, since Linux 6.15.

A layer that was deleted, or written anew, is let go at the next request or a few seconds after the last one, so that
the disk gets its space back. Overlays that have it keep it until they end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scow.contract.errors import KernelUnsupported, LayerCorrupt, ScowError
from scow.kernel import syscalls
from scow.shim.errors import from_os_error
from scow.shim.oci.config import Mount

TYPE = "erofs"
# Mounts held at most; those that were used least recently go first. A process has 1,024 descriptors by default.
_HELD_MAX = 768
_DEVICE = "device="
# What the kernel says of an index that it does not understand, or whose tar is not there.
_DAMAGED = frozenset(
    (errno.EINVAL, errno.EUCLEAN, errno.EIO, errno.ENOENT, errno.ENODATA, errno.EOPNOTSUPP)
)
# No EROFS, or none on files (Linux 6.12).
_UNSUPPORTED = frozenset((errno.ENODEV, errno.ENOTBLK))

# Device, inode and change time of index and tar: another file of the same name is another layer.
_Identity = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class _Held:
    identity: _Identity
    descriptor: int


class Layers:
    """The mounts that the spawner holds, by the path of the index."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, entries: Iterable[Mount]) -> dict[str, int]:
        """Mount what is not mounted yet; return the descriptors by the path of the index.

        They stay valid until the next call of a method.

        Raises:
            LayerCorrupt, KernelUnsupported.
        """
        wanted: dict[str, int] = {}
        for entry in entries:
            if entry.type != TYPE:
                continue
            identity = _identity(entry)
            held = self._held.pop(entry.source, None)
            if held is not None and held.identity != identity:
                os.close(held.descriptor)
                held = None
            if held is None:
                held = _Held(identity, mount(entry))
            self._held[entry.source] = held  # the last one is the one that was used last
            wanted[entry.source] = held.descriptor
        for source in [*self._held][: len(self._held) - _HELD_MAX]:
            if source not in wanted:
                os.close(self._held.pop(source).descriptor)
        return wanted

    def drop_gone(self) -> None:
        """Let go of layers that are not where they were."""
        for source, held in [*self._held.items()]:
            device, inode, changed = held.identity[0]
            try:
                if _facts(source) == (device, inode, changed):
                    continue
            except OSError:
                pass
            os.close(self._held.pop(source).descriptor)

    def close_others(self, kept: Mapping[str, int]) -> None:
        """Close, in a child, all descriptors but some."""
        for source, held in self._held.items():
            if source not in kept:
                os.close(held.descriptor)
        self._held.clear()


def mount(entry: Mount) -> int:
    """Mount one layer, attached nowhere; return its descriptor.

    Raises:
        ScowError: As `Layers.hold`.
    """
    try:
        context = syscalls.fsopen(TYPE)
    except OSError as error:
        raise _failed(entry, error) from error
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", entry.source)
        for option in entry.options:
            key, _, value = option.partition("=")
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, syscalls.MS_RDONLY)
    except OSError as error:
        raise _failed(entry, error) from error
    finally:
        os.close(context)


def _identity(entry: Mount) -> _Identity:
    files = [entry.source]
    files += [o.removeprefix(_DEVICE) for o in entry.options if o.startswith(_DEVICE)]
    try:
        return tuple(_facts(path) for path in files)
    except OSError as error:
        raise _failed(entry, error) from error


def _facts(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _failed(entry: Mount, error: OSError) -> ScowError:
    if error.errno in _UNSUPPORTED:
        text = f"this kernel cannot mount the layer {entry.source}: {error.strerror}"
        return KernelUnsupported(
            text,
            what="erofs",
            which=entry.source,
            do="set image.snapshotter to overlay, remove the image and pull it again",
        )
    if error.errno in _DAMAGED:
        text = f"the layer {entry.source} is damaged or missing: {error.strerror}"
        return LayerCorrupt(
            text,
            what="layer",
            which=entry.source,
            do="wait a minute: the image service builds it again; or pull the image again",
        )
    return from_os_error(error, "mount a layer", which=entry.source)
