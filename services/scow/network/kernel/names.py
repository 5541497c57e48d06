"""Names of links, all derived from the instance name (1 to 8 letters and digits)."""

from __future__ import annotations

import re

# IFNAMSIZ without the final NUL.
MAX_LENGTH = 15
# Of the names of containers' interfaces.
STEM = "eth"


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


def user_bridge(instance: str, identity: str) -> str:
    """Return the name of the bridge of a user's network.

    Args:
        instance: The engine.
        identity: Hexadecimal digits of the network's id.
    """
    return f"{instance}_{identity}"[:MAX_LENGTH]


def is_user_bridge_of(instance: str, name: str) -> bool:
    """Tell whether a link has the name of an engine's user bridges."""
    return re.fullmatch(rf"{instance}_[0-9a-f]{{6,}}", name) is not None


def mark(instance: str, kind: str, identity: str) -> str:
    """Return what is written on a link, as its alias, that an engine made for a network.

    Args:
        instance: The engine.
        kind: What made it; a word.
        identity: The network's id.
    """
    return f"{instance} {kind} {identity}"


def is_marked(instance: str, alias: str, kind: str = "") -> bool:
    """Tell whether a link's alias says that an engine made it, and with which kind of driver."""
    return re.fullmatch(rf"{instance} {kind or '[a-z]+'} [0-9a-f]{{64}}", alias) is not None


def interface(number: int, stem: str = STEM) -> str:
    """Return the name of a container's link, the first one has the number 0."""
    return f"{stem}{number}"
