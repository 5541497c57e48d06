"""The volumes of a container that is about to start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scow.api.types.v1.types_pb2 import Mount
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.shared_mounts import SharedMounts
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import ContainerNotFound, VolumeInUse


async def activate(
    shared: Shared, cleanup: Cleanup, mounted: SharedMounts, entry: Entry, target: str = ""
) -> list[Mount]:
    """Have them made ready; return what is to be mounted, in the order asked for.

    Args:
        shared: What the parts of the service share.
        cleanup: For containers that have ended.
        mounted: Where mounts of volumes are to be had.
        entry: Which container.
        target: Of one mount; empty: all.

    Raises:
        VolumeInUse: A volume has another writer, and one of the two is to be the only one.
        ScowError: What the volume service says.
    """
    held = [each for each in entry.volumes.mounts if target in ("", each.mount.destination)]
    if not any(resolved.type == "volume" for resolved in held):
        return [resolved.mount for resolved in held]
    try:
        response = await shared.volumes.activate(entry.owner, target)
    except VolumeInUse as error:
        await _end_uses(shared, cleanup, error.metadata.get("owners", "").split(","))
        response = await shared.volumes.activate(entry.owner, target)
    # Of binds what was looked up at creation counts: links that were put there since are not followed.
    volumes = {each.mount.destination: each for each in response.mounts}
    ready = [volumes.get(each.mount.destination, each) for each in held]
    found = {
        # In the order of names: two starts that share several volumes must not wait for each other.
        index: await mounted.resolve(entry, ready[index])
        for index in sorted(range(len(ready)), key=lambda index: ready[index].name)
    }
    return [found[index] for index in range(len(ready))]


async def _end_uses(shared: Shared, cleanup: Cleanup, owners: Sequence[str]) -> None:
    """Finish what follows the ends of containers, so that what has ended uses nothing any more."""
    for owner in owners:
        try:
            other = shared.containers.find(owner.removeprefix("container/"))
        except ContainerNotFound:
            continue
        watcher = other.watcher
        if watcher is not None and not other.alive:
            await asyncio.wait([watcher])
        # A lock that is held is not waited for: its holder may wait for this container's.
        if other.alive or other.lock.locked():
            continue
        async with other.lock:
            await cleanup.clean_up(other)
            # Also where no state folder says that it is needed: the machine may have been restarted in a start.
            await shared.volumes.deactivate(other.owner)
