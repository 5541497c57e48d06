"""Drivers: how networks and their endpoints come to be in the kernel.

`base` has the contract; a driver is a module, and a line of the table below under the name that networks have it by.
"""

from __future__ import annotations

from collections.abc import Mapping

from scow.network.drivers import sublink
from scow.network.drivers.base import Capabilities, Driver
from scow.network.drivers.bridge import BridgeDriver
from scow.network.drivers.cni import CniDriver
from scow.network.drivers.host import HostDriver
from scow.network.drivers.none import NoneDriver
from scow.network.drivers.sublink import SublinkDriver
from scow.network.kernel.worker import Worker

__all__ = ["Capabilities", "Driver", "Drivers", "make"]

Drivers = Mapping[str, Driver]


def make(
    worker: Worker, instance: str, mtu: int, forwarding: bool = True, cni: CniDriver | None = None
) -> Drivers:
    """Return all drivers by name.

    Args:
        worker: For all that blocks.
        instance: The engine, which names links.
        mtu: Of links in bytes; 0 means what the host's default route takes.
        forwarding: Whether the host is made a router.
        cni: The driver of CNI configurations, where there is one.
    """
    found: dict[str, Driver] = {
        "bridge": BridgeDriver(worker, instance, mtu, forwarding),
        "macvlan": SublinkDriver(worker, instance, sublink.MACVLAN),
        "ipvlan": SublinkDriver(worker, instance, sublink.IPVLAN),
        "host": HostDriver(),
        "null": NoneDriver(worker),
    }
    if cni is not None:
        found["cni"] = cni
    return found
