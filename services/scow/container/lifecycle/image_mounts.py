"""Images that are mounted beside a container's own: `--mount type=image`.

Each is a snapshot of the image service's, so that its layers stay while the container is there. Nothing writes to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.types.v1.types_pb2 import Mount
from scow.api.volume.v1.volume_pb2 import AcquireResponse
from scow.container.model.containers import Entry
from scow.container.peers.image import Images

_TYPE = "image"


async def prepare(images: Images, entry: Entry, held: AcquireResponse) -> None:
    """Have the images prepared that a container mounts, and note how they are mounted.

    Raises:
        ScowError: What the image service says.
    """
    for index, resolved in enumerate(held.mounts):
        if resolved.type == _TYPE:
            prepared = await images.prepare_mount(_owner(entry, index), resolved.mount.source)
            resolved.layers.extend(prepared.mounts)


async def release(images: Images, entry: Entry) -> None:
    """Give the snapshots back. Those that are not on record yet are found by the image service's reconciliation."""
    for index, resolved in enumerate(entry.volumes.mounts):
        if resolved.type == _TYPE:
            await images.release(_owner(entry, index))


def layers(entry: Entry) -> dict[str, Sequence[Mount]]:
    """Return how images are mounted, by their places in the container."""
    return {
        resolved.mount.destination: resolved.layers
        for resolved in entry.volumes.mounts
        if resolved.type == _TYPE
    }


def _owner(entry: Entry, index: int) -> str:
    return f"{entry.owner}/{_TYPE}/{index}"
