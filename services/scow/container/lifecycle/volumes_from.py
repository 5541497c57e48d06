"""`volumes_from`: the volumes and binds of other containers, whether they run or not."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.volume.v1.volume_pb2 import MountRequest
from scow.container.model.containers import Containers, Entry
from scow.container.model.invalid import invalid
from scow.container.spec import process
from scow.contract import paths

_TYPES = frozenset(("volume", "bind"))
# "z" and "Z" are for SELinux: accepted, without effect.
_MODES = frozenset(("", "ro", "rw", "z", "Z"))


def mounts(
    config: ContainerConfig, containers: Containers, own: Sequence[MountRequest]
) -> list[MountRequest]:
    """Return the mounts that a configuration takes from other containers, a later one's instead of an earlier one's.

    Args:
        config: Of the container that is made.
        containers: All that are known.
        own: What it mounts itself: in these places nothing is taken.

    Raises:
        ContainerNotFound: There is no such container.
        InvalidConfig: No such mode.
    """
    taken: dict[str, MountRequest] = {}
    covered = process.targets(own)
    for text in config.volumes_from:
        name, read_only = _parse(text)
        for request in _of(containers.find(name)):
            target = paths.shortest(request.target)
            if target not in covered:
                request.read_only = request.read_only or read_only
                request.exclusive = request.exclusive and not request.read_only
                taken[target] = request
    return [*taken.values()]


def _parse(text: str) -> tuple[str, bool]:
    name, _, mode = text.partition(":")
    words = mode.split(",")
    modes = [word for word in words if word in _MODES]
    if len(modes) < len(words) or {"ro", "rw"} <= set(words):
        raise invalid("volumes_from", f"has an invalid mode: {mode}", "use ro or rw")
    return name, "ro" in words


def _of(entry: Entry) -> list[MountRequest]:
    found = []
    for resolved in entry.volumes.mounts:
        if resolved.type in _TYPES:
            request = MountRequest()
            request.CopyFrom(resolved.request)
            # Filled by the container that it is of, if at all.
            request.no_copy = resolved.type == "volume"
            found.append(request)
    return found
