"""Platforms: "linux/arm64", with the names that images and people use for them; the host's."""

from __future__ import annotations

import functools
import platform
import re
import sys
from dataclasses import dataclass

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
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "wasip1")
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


_KNOWN = (*sorted({name for name, _ in _ARCHITECTURES.values()}), "mips64le", "mips64", "loong64")


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


@functools.cache
def host() -> Platform:
    """Return the host's platform."""
    machine = platform.machine()
    architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
    return canonical("linux", architecture, variant)


def parse(text: str) -> Platform:
    """Return the platform of "linux/arm/v7", "linux/amd64", "arm64" or "linux"; what is left out is the host's.

    Raises:
        ValueError: Not a platform.
    """
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(f"{text[:40]!r} is not a platform")
    if len(parts) == 1:
        if parts[0].lower() in _SYSTEMS:
            return canonical(parts[0], "")
        if canonical("linux", parts[0]).architecture not in _KNOWN:
            raise ValueError(f"{text[:40]!r} is neither a system nor an architecture")
        return canonical("linux", parts[0])
    return canonical(*parts)
