"""The OCI bundle of a container on disk: config.json, rootfs.json and images.json in its state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scow.api.types.v1.types_pb2 import Mount
from scow.contract import shim_files


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
    _write(bundle / shim_files.ROOTFS, shim_files.rootfs(rootfs))
    if images:
        found = {place: shim_files.rootfs(mounts) for place, mounts in images.items()}
        _write(bundle / shim_files.IMAGES, found)
    _write(bundle / shim_files.CONFIG, spec)


def _write(path: Path, content: Any) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        # dumps and not dump: the latter encodes in Python, piece by piece.
        file.write(json.dumps(content, separators=(",", ":")))
