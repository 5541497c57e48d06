"""Platforms: which of an index's variants fits the host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.words.platforms import Platform as Platform
from scow.words.platforms import canonical as canonical
from scow.words.platforms import host as host

# "v8", "v8.2": callers may write any number, and all below it are tried.
_VARIANT = re.compile(r"v?([0-9]{1,2})(?:\.|$)")


def platform_of(message: PlatformMessage) -> Platform:
    """Return the canonical form of a contract's platform."""
    return canonical(message.os, message.architecture, message.variant)


def runnable(image: Platform, machine: Platform | None = None) -> bool:
    """Tell whether the machine (the host when None) runs images of a platform."""
    return image in _acceptable(machine or host())


def choose(variants: Sequence[Platform], wanted: Platform) -> int | None:
    """Return the index of the variant that fits best, None when none fits."""
    for acceptable in _acceptable(wanted):
        if acceptable in variants:
            return variants.index(acceptable)
    return None


def _acceptable(wanted: Platform) -> Iterable[Platform]:
    """Yield what a machine of the wanted platform runs, the best first."""
    os, architecture, variant = wanted.os, wanted.architecture, wanted.variant
    yield wanted
    if architecture == "arm":
        for number in range(_number(variant, 7) - 1, 4, -1):
            yield Platform(os, "arm", f"v{number}")
    elif architecture in ("amd64", "arm64"):
        lowest = 1 if architecture == "amd64" else 8
        for number in range(_number(variant, lowest) - 1, lowest, -1):
            yield Platform(os, architecture, f"v{number}")
        yield Platform(os, architecture)
        if architecture == "amd64":
            yield Platform(os, "386")
        else:
            yield from (Platform(os, "arm", f"v{number}") for number in (8, 7, 6, 5))


def _number(variant: str, default: int) -> int:
    match = _VARIANT.match(variant)
    return int(match[1]) if match else default
