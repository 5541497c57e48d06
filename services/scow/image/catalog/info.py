"""What the image service tells of its store and of the registries that it is configured for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scow.api.image.v1.store_pb2 import InfoResponse
from scow.core.config import ImageSection


def info(settings: ImageSection, base: Path, drivers: Sequence[str]) -> InfoResponse:
    """Return it.

    Args:
        settings: The section of the configuration.
        base: The service's folder.
        drivers: Names of the drivers of layers that work here, the one that makes new layers first.
    """
    return InfoResponse(
        driver=drivers[0],
        drivers=drivers,
        backing_filesystem=filesystem(base, Path("/proc/self/mountinfo").read_text()),
        registry_mirrors=settings.registry_mirrors,
        insecure_registries=settings.insecure_registries,
    )


def filesystem(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path is on, or nothing.

    Args:
        path: An absolute path.
        mounts: /proc/self/mountinfo (proc(5)).
    """
    found, depth = "", 0
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].replace(r"\040", " "))
        # Of mounts at one place the last one is what is seen.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split(" ")[0], len(point.parts)
    return found
