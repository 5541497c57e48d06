"""Settings of links (ip-sysctl in the kernel's documentation), in the network namespace of the calling thread.

They are written before a link is up: until then no packet can reach what they close.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from scow.contract.errors import KernelUnsupported

_ROOT = Path("/proc/sys/net")
_LONGEST = 100

# What a container sends must not change how the host sends: no address and no route from a router advertisement
# (RFC 4861, the class of CVE-2020-13401), no route from a redirect.
GUARDED = {
    "ipv6/conf/{link}/accept_ra": "0",
    "ipv6/conf/{link}/autoconf": "0",
    "ipv6/conf/{link}/accept_redirects": "0",
    "ipv4/conf/{link}/accept_redirects": "0",
}
# A port of a bridge and a bridge without an IPv6 subnet have no use for the protocol.
WITHOUT_IPV6 = {"ipv6/conf/{link}/disable_ipv6": "1"}
WITH_IPV6 = {"ipv6/conf/{link}/disable_ipv6": "0"}
# Inside of a container, whose neighbours must not become its router either.
INSIDE = {
    "ipv6/conf/{link}/accept_ra": "0",
    "ipv6/conf/{link}/autoconf": "0",
    # No address of the link alone, which would only cost multicast traffic.
    "ipv6/conf/{link}/addr_gen_mode": "1",
}


def set_link(link: str, wanted: Mapping[str, str]) -> bool:
    """Give a link its settings; return whether one of them was different.

    Args:
        link: Its name.
        wanted: Names below /proc/sys/net, with `{link}` in place of the name, and values. Those of a protocol
            that the kernel lacks are passed over.

    Raises:
        KernelUnsupported: One cannot be set.
    """
    changed = [_set(name.format(link=link), value) for name, value in wanted.items()]
    return any(changed)


def become_router(name: str) -> None:
    """Turn forwarding on for a family, with nothing else changed.

    A router of IPv6 believes no router advertisements where accept_ra is 1: a host whose own route comes from one
    would lose it, so its links get 2, which means what 1 meant before.

    Args:
        name: "ipv4/ip_forward" or "ipv6/conf/all/forwarding".
    """
    if name.startswith("ipv6/") and (_ROOT / name).read_text().strip() == "0":
        for path in (_ROOT / "ipv6/conf").glob("*/accept_ra"):
            if path.read_text().strip() == "1":
                path.write_text("2")
    enable(name)


def enable(name: str) -> None:
    """Set a setting to 1.

    Raises:
        KernelUnsupported: It cannot be set.
    """
    _set(name, "1", required=True)


def _set(name: str, value: str, required: bool = False) -> bool:
    path = f"{_ROOT}/{name}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.read(descriptor, _LONGEST).strip() == value.encode():
                return False
            os.pwrite(descriptor, value.encode(), 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.ENOENT and not required:
            return False
        raise KernelUnsupported(
            f"{path} cannot be set: {error.strerror}",
            what="sysctl",
            which=f"net.{name.replace('/', '.')}",
            do="see that the service may write to /proc/sys/net",
        ) from error
    return True
