"""Labels of objects: how much they may hold, and what of them an event repeats."""

from __future__ import annotations

from collections.abc import Mapping

from scow.contract.errors import LimitExceeded

# Bytes of all keys and values of an object: each list, record and answer carries them.
BYTES_MAX = 1 << 20
# Characters of them that an event repeats.
_EVENT_MAX = 4096


def check(field: str, labels: Mapping[str, str]) -> None:
    """Refuse labels that are together too long.

    Raises:
        LimitExceeded: They have more than BYTES_MAX bytes.
    """
    # Each counts for what a map's entry costs at least.
    size = sum(len(k.encode()) + len(v.encode()) + 4 for k, v in labels.items())
    if size > BYTES_MAX:
        raise LimitExceeded(
            f"{field} has {size} bytes",
            what="field",
            which=field,
            do=f"use at most {BYTES_MAX} for all keys and values together",
        )


def for_event(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that an event repeats: the shorter ones first, whole, up to 4,096 characters."""
    found, left = {}, _EVENT_MAX
    for key, value in sorted(labels.items(), key=lambda item: (len(item[0]) + len(item[1]), item)):
        left -= len(key) + len(value)
        if left < 0:
            break
        found[key] = value
    return found
