"""How a wrong field of a container's configuration is reported."""

from __future__ import annotations

from scow.contract.errors import InvalidConfig


def invalid(field: str, why: str, do: str) -> InvalidConfig:
    """Return the error for a field.

    Args:
        field: Path of the field in ContainerConfig, "resources.memory".
        why: Completes the sentence "<field> ...".
        do: What the caller can do about it.
    """
    return InvalidConfig(f"{field} {why}", what="field", which=field, do=do)
