"""Limits of block IO: shares and rates of devices, as OCI `linux.resources.blockIO`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Any

from scow.api.container.v1.container_pb2 import DeviceLimit, Resources
from scow.container.model.invalid import invalid
from scow.contract.errors import NotFound

_WEIGHTS = range(10, 1001)
# Field of Resources: the specification's name, and what it calls the value.
_DEVICES = {
    "blkio_weight_devices": ("weightDevice", "weight"),
    "device_read_bps": ("throttleReadBpsDevice", "rate"),
    "device_write_bps": ("throttleWriteBpsDevice", "rate"),
    "device_read_iops": ("throttleReadIOPSDevice", "rate"),
    "device_write_iops": ("throttleWriteIOPSDevice", "rate"),
}
RATES = tuple(_DEVICES)[1:]


def check(resources: Resources) -> None:
    """Refuse weights and rates that cannot be meant.

    Raises:
        InvalidConfig: A weight out of range, or a path that is not absolute.
        NotFound: The host has no such block device.
    """
    if resources.blkio_weight and resources.blkio_weight not in _WEIGHTS:
        raise invalid("resources.blkio_weight", f"is {resources.blkio_weight}", "use 10 to 1000")
    for field in _DEVICES:
        for each in getattr(resources, field):
            if not each.path.startswith("/"):
                raise invalid(
                    f"resources.{field}", f"has the path {each.path!r}", "use an absolute host path"
                )
            if field == "blkio_weight_devices" and each.value not in _WEIGHTS:
                raise invalid(f"resources.{field}", f"has {each.value}", "use 10 to 1000")
    block_io(resources)


def block_io(resources: Resources) -> dict[str, Any]:
    """Return OCI `blockIO`.

    Raises:
        NotFound: The host has no such block device.
    """
    found: dict[str, Any] = {}
    if resources.blkio_weight:
        found["weight"] = resources.blkio_weight
    for field, (name, value) in _DEVICES.items():
        limits: Iterable[DeviceLimit] = getattr(resources, field)
        entries = [{**_numbers(each.path), value: each.value} for each in limits]
        if entries:
            found[name] = entries
    return found


def _numbers(path: str) -> dict[str, int]:
    try:
        info = os.stat(path)
    except OSError:
        info = None
    if info is None or not stat.S_ISBLK(info.st_mode):
        raise NotFound(
            f"{path} is not a block device of this host",
            what="device",
            which=path,
            do="name a whole disk, as lsblk(8) lists them",
        )
    return {"major": os.major(info.st_rdev), "minor": os.minor(info.st_rdev)}
