"""Mounts of a root file system that do not work any more.

They are on record since the container was made. Since then the image service may have made a layer anew in another
form, because the kernel is another one. It is asked when a mount fails: to ask at each start would be another write to
its disk.
"""

from __future__ import annotations

from scow.api.image.v1 import image_pb2
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import KernelUnsupported, LayerCorrupt, MountFailed

# How mounts fail that may be of yesterday.
STALE = (LayerCorrupt, KernelUnsupported, MountFailed)


async def renew(shared: Shared, entry: Entry) -> bool:
    """Ask how a container's root file system is mounted now; tell whether that is another way than before.

    Raises:
        ScowError: What the image service says.
    """
    found = await shared.images.prepare(entry.owner, entry.described.config)
    if list(found.mounts) == list(entry.rootfs.mounts):
        return False
    rootfs = image_pb2.PrepareResponse(mounts=found.mounts, driver=found.driver)
    store = shared.containers.store
    with store.store.transaction() as tx:
        store.hold(tx, entry.id, rootfs, entry.volumes)
    entry.rootfs = rootfs
    return True
