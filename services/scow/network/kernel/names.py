"""Names of links, all derived from the instance name (1 to 8 letters and digits)."""

from __future__ import annotations

import re

# IFNAMSIZ without the final NUL.
MAX_LENGTH = 15


def bridge(instance: str) -> str:
    """Return the name of the default network's bridge."""
    return f"{instance}0"


def link(instance: str, identity: str) -> str:
    """Return the name of an endpoint's link in the host; the dash keeps instances apart that begin alike.

    Args:
        instance: The engine.
        identity: Hexadecimal digits of the endpoint's id.
    """
    return f"{instance}-{identity}"[:MAX_LENGTH]


def is_link_of(instance: str, name: str) -> bool:
    """Tell whether a link is one of an engine's endpoints."""
    return re.fullmatch(rf"{instance}-[0-9a-f]{{6,}}", name) is not None


def interface(number: int) -> str:
    """Return the name of a container's link, the first one has the number 0."""
    return f"eth{number}"
