"""Images that are mounted beside a container's own: read-only overlays of their layers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from scow.contract.errors import InvalidConfig
from scow.kernel import syscalls
from scow.shim.oci.config import Mount
from scow.shim.rootfs import overlay
from scow.shim.spawner import layers, view

TYPE = "scow.image"


def make(entries: Iterable[Mount], held: Mapping[str, int]) -> int:
    """Make the mount of one image, attached nowhere; return its descriptor.

    Args:
        entries: As images.json has them.
        held: Layers that the spawner has mounted.

    Raises:
        MountFailed, LayerCorrupt.
    """
    own: dict[str, int] = {}
    try:
        for entry in entries:
            if entry.type != layers.TYPE:
                made = overlay.by_descriptors(view.read_only(entry), {**held, **own})
                syscalls.mount_setattr(made, set_=syscalls.MS_RDONLY)
                return made
            if entry.source not in held:
                own[entry.source] = layers.mount(entry)
    finally:
        for descriptor in own.values():
            os.close(descriptor)
    text = "an image without mounts cannot be mounted"
    raise InvalidConfig(text, what="images.json")
