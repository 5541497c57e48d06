"""Names of this machine, which plain HTTP does not leave."""

from __future__ import annotations

import ipaddress


def is_loopback(name: str) -> bool:
    """Tell whether a name or address is this machine's."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
