"""Drivers: where the data of volumes are, and how containers get to see them.

`base` has the contract; a driver is a module, and a line of the table below under the name that volumes have it by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scow.contract.errors import InvalidArgument
from scow.volume.directories import Directories
from scow.volume.drivers.base import Capabilities, Driver, Source
from scow.volume.drivers.local import LocalDriver
from scow.volume.drivers.plugin import discovery

if TYPE_CHECKING:
    from scow.volume.plugins.plugins import Plugins

__all__ = ["DEFAULT", "Capabilities", "Driver", "Drivers", "LocalDriver", "Source", "find", "make"]

DEFAULT = "local"

Drivers = Mapping[str, Driver]


class _Drivers(Mapping[str, Driver]):
    """The engine's own drivers, and those of plugins: any name may be a plugin's, which may be away."""

    def __init__(self, own: Mapping[str, Driver], plugins: Plugins) -> None:
        self._own = own
        self._plugins = plugins

    def __getitem__(self, name: str) -> Driver:
        if name in self._own:
            return self._own[name]
        if not discovery.NAME.fullmatch(name):
            raise KeyError(name)
        return self._plugins.driver(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self._plugins.drivers()})

    def __len__(self) -> int:
        return len({**self._own, **self._plugins.drivers()})


def make(directories: Directories, plugins: Plugins) -> Drivers:
    """Return all drivers by name."""
    return _Drivers({DEFAULT: LocalDriver(directories)}, plugins)


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
