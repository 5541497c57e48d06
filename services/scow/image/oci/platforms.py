"""Platforms: the host's, and which of an index's variants fits it."""

from __future__ import annotations

import functools
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scow.api.types.v1.types_pb2 import Platform as PlatformMessage

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
}
# "v8", "v8.2": callers may write any number, and all below it are tried.
_VARIANT = re.compile(r"v?([0-9]{1,2})(?:\.|$)")
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


@dataclass(frozen=True)
class Platform:
    """A platform in canonical form: "v8" of arm64 and "v1" of amd64 are left out, arm has a variant."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Return "linux/arm/v7"."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def canonical(os: str, architecture: str, variant: str = "") -> Platform:
    """Return the canonical form of a platform as images and people write it; an empty part is the host's."""
    architecture = architecture.lower()
    if architecture in ("armel", "armhf"):
        variant = variant or {"armel": "v6", "armhf": "v7"}[architecture]
        architecture = "arm"
    architecture = _ALIASES.get(architecture, architecture) or host().architecture
    variant = variant.lower()
    if variant and not variant.startswith("v"):
        variant = f"v{variant}"
    if architecture == "arm":
        variant = variant or "v7"
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    return Platform(os.lower() or sys.platform, architecture, variant)


def platform_of(message: PlatformMessage) -> Platform:
    """Return the canonical form of a contract's platform."""
    return canonical(message.os, message.architecture, message.variant)


@functools.cache
def host() -> Platform:
    """Return the host's platform."""
    machine = platform.machine()
    architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
    return canonical("linux", architecture, variant)


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
