"""Resource limits (getrlimit(2)) from the OCI configuration."""

from __future__ import annotations

import resource
from collections.abc import Iterable

from scow.shim.errors import ShimError
from scow.shim.oci.config import Rlimit

_UNLIMITED = (1 << 64) - 1


def apply(limits: Iterable[Rlimit]) -> list[str]:
    """Set the limits and return a warning for each that may not be raised.

    Raising a hard limit needs CAP_SYS_RESOURCE, which an engine in a virtual machine or container may lack. The
    soft limit is then raised as far as the hard one goes.
    """
    warnings = []
    for limit in limits:
        number = getattr(resource, limit.type, None)
        if number is None or not limit.type.startswith("RLIMIT_"):
            text = f"there is no resource limit {limit.type}"
            raise ShimError(
                "INVALID_ARGUMENT", "INVALID_CONFIG", text, what="rlimit", which=limit.type
            )
        try:
            resource.setrlimit(number, (_value(limit.soft), _value(limit.hard)))
        except (OSError, ValueError):
            warnings.append(_lower(limit, number))
    return warnings


def _lower(limit: Rlimit, number: int) -> str:
    """Set as much of a limit as this process may."""
    _, hard = resource.getrlimit(number)
    ceiling = _UNLIMITED if hard == resource.RLIM_INFINITY else hard
    soft = min(limit.soft, ceiling)
    resource.setrlimit(number, (_value(soft), _value(min(max(limit.hard, soft), ceiling))))
    return f"{limit.type} stays at {ceiling}: the engine lacks CAP_SYS_RESOURCE to raise it to {limit.hard}"


def _value(value: int) -> int:
    return resource.RLIM_INFINITY if value >= _UNLIMITED or value < 0 else value
