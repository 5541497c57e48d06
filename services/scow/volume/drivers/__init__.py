"""Drivers: where the data of volumes are, and how containers get to see them.

`base` has the contract; a driver is a module, and a line of the table below under the name that volumes have it by.
"""

from __future__ import annotations

from collections.abc import Mapping

from scow.contract.errors import InvalidArgument
from scow.volume.directories import Directories
from scow.volume.drivers.base import Capabilities, Driver, Source
from scow.volume.drivers.local import LocalDriver

__all__ = ["DEFAULT", "Capabilities", "Driver", "Drivers", "LocalDriver", "Source", "find", "make"]

DEFAULT = "local"

Drivers = Mapping[str, Driver]


def make(directories: Directories) -> Drivers:
    """Return all drivers by name."""
    return {DEFAULT: LocalDriver(directories)}


def find(drivers: Drivers, name: str) -> Driver:
    """Return a driver by its name.

    Raises:
        InvalidArgument: There is none.
    """
    driver = drivers.get(name)
    if driver is None:
        raise InvalidArgument(
            f"there is no volume driver {name!r}",
            what="volume driver",
            which=name,
            do=f"use {', '.join(sorted(drivers))}",
        )
    return driver
