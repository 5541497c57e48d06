"""The OCI bundle of a container on disk: config.json, rootfs.json and images.json in its state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scow.api.types.v1.types_pb2 import Mount


def write(
    bundle: Path,
    spec: dict[str, Any],
    rootfs: Sequence[Mount],
    images: Mapping[str, Sequence[Mount]],
) -> None:
    """Write the bundle. No fsync: it is made anew at each start.

    Args:
        bundle: The folder, which is made.
        spec: config.json.
        rootfs: The mounts that make the root file system.
        images: The mounts that make each image that is mounted besides, by its place.
    """
    bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(bundle / "rootfs.json", described(rootfs))
    if images:
        found = {place: described(mounts) for place, mounts in images.items()}
        _write(bundle / "images.json", found)
    _write(bundle / "config.json", spec)


def described(rootfs: Sequence[Mount]) -> list[dict[str, Any]]:
    """Return mounts as rootfs.json has them."""
    return [
        {"type": mount.type, "source": mount.source, "options": list(mount.options)}
        for mount in rootfs
    ]


def _write(path: Path, content: Any) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        # dumps and not dump: the latter encodes in Python, piece by piece.
        file.write(json.dumps(content, separators=(",", ":")))
