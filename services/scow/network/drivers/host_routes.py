"""What the host has to do with, so that no network is given a subnet of it."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

from scow.network.dns.files import host_resolver
from scow.network.ipam.addresses import Subnet
from scow.network.kernel import links
from scow.network.kernel.netlink import Netlink

_LOCK = Path("/run/lock/scow-subnets")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the lock while a subnet is chosen and taken: two engines that start together choose different ones."""
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def of_host(netlink: Netlink, without: str = "") -> list[Subnet]:
    """Return the destinations of routes, the subnets of addresses, and the name servers.

    Args:
        netlink: Of the host's namespace.
        without: Name of a link that does not count.
    """
    own = links.find_link(netlink, without) if without else None
    index = own.index if own else -1
    used = [r.destination for r in links.list_routes(netlink) if r.link != index]
    used += [a.network for i, a in links.list_addresses(netlink) if i != index]
    for server in host_resolver().servers:
        with contextlib.suppress(ValueError):
            used.append(ipaddress.ip_network(server))
    return used
