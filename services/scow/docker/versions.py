"""The versions of Docker's API that are spoken."""

from __future__ import annotations

API_VERSION = (1, 51)
MIN_API_VERSION = (1, 24)


def text(version: tuple[int, int]) -> str:
    """Return "1.51"."""
    return "{}.{}".format(*version)
