"""Images that are mounted beside a container's own: read-only overlays of their layers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from scow.contract.errors import InvalidConfig
from scow.kernel import syscalls
from scow.shim.oci.config import Mount
from scow.shim.rootfs import idmap, overlay
from scow.shim.spawner import layers, view

TYPE = "scow.image"
_LOWER = "lowerdir="


def make(entries: Iterable[Mount], held: Mapping[str, int], namespace: int = -1) -> int:
    """Make the mount of one image, attached nowhere; return its descriptor.

    Args:
        entries: As images.json has them.
        held: Layers that the spawner has mounted.
        namespace: Descriptor of the user namespace that its ids are mapped for; -1: they are not.

    Raises:
        MountFailed, LayerCorrupt.
    """
    own: dict[str, int] = {}
    try:
        for entry in entries:
            if entry.type != layers.TYPE:
                entry = view.read_only(entry)
                if namespace >= 0:
                    _map_ids(entry, held, own, namespace)
                made = overlay.by_descriptors(entry, {**held, **own})
                syscalls.mount_setattr(made, set_=syscalls.MS_RDONLY)
                return made
            if entry.source not in held:
                own[entry.source] = layers.mount(entry)
    finally:
        for descriptor in own.values():
            os.close(descriptor)
    text = "an image without mounts cannot be mounted"
    raise InvalidConfig(text, what="images.json")


def _map_ids(entry: Mount, held: Mapping[str, int], own: dict[str, int], namespace: int) -> None:
    """Replace the layers of an overlay by such with their ids mapped."""
    for option in entry.options:
        if option.startswith(_LOWER):
            for escaped in overlay.split_lower(option.removeprefix(_LOWER)):
                path = overlay.unescaped(escaped)
                made = idmap.clone(path, {**held, **own}, namespace)
                if path in own:
                    os.close(own[path])
                own[path] = made
