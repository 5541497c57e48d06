"""Settings of links (ip-sysctl in the kernel's documentation), in the network namespace of the calling thread.

They are written before a link is up: until then no packet can reach what they close.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from scow.contract.errors import KernelUnsupported

_ROOT = Path("/proc/sys/net")

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
INSIDE = {"ipv6/conf/{link}/accept_ra": "0", "ipv6/conf/{link}/autoconf": "0"}


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
    path = _ROOT / name
    try:
        if path.read_text().strip() == value:
            return False
        path.write_text(value)
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
