"""The root of a container as a descriptor: whoever has it sees the container's mounts and nothing else.

Of a running container it is opened through its init; no process enters its namespaces, so nothing of it is ever
executed or loaded (CVE-2019-14271). Of one that does not run the spawner mounts it, attached nowhere, while the
container's lock keeps others from starting it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from scow.api.types.v1.types_pb2 import Mount
from scow.container.files.places import Root
from scow.container.lifecycle import remount
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared


class Roots:
    """Opens the roots of containers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @contextlib.asynccontextmanager
    async def opened(self, entry: Entry) -> AsyncIterator[Root]:
        """Open a container's root; one that does not run is kept from running meanwhile.

        Raises:
            ContainerBusy, ContainerNotFound: It is being made or removed.
            MountFailed, BindSourceNotFound: It does not run, and what it has cannot be mounted.
        """
        async with contextlib.AsyncExitStack() as stack:
            # As its processes see files, with ids of its user namespace; what is mounted here has those of the disk.
            first = entry.described.id_range.first
            root = _of_running(entry)
            if root is None:
                await stack.enter_async_context(entry.lock)
                root = _of_running(entry)  # it was being started
                if root is None:
                    root, first = await self._mounted(entry), 0
                else:
                    await stack.aclose()
            try:
                yield Root(root, first)
            finally:
                os.close(root)

    async def _mounted(self, entry: Entry) -> int:
        if entry.gone:
            raise states.gone(entry.described)
        if not entry.rootfs.mounts:
            raise states.busy(entry.described)
        try:
            return await self._mount(entry)
        except remount.STALE:
            if not await remount.renew(self._shared, entry):
                raise
            return await self._mount(entry)

    async def _mount(self, entry: Entry) -> int:
        read_only = entry.described.config.read_only
        rootfs = entry.rootfs.mounts
        return await self._shared.spawner.whole(rootfs, _binds(entry), read_only=read_only)


def _of_running(entry: Entry) -> int | None:
    """Open the root of a container that runs; None when it does not."""
    return entry.shim.open_root() if entry.alive and entry.shim is not None else None


def _binds(entry: Entry) -> list[Mount]:
    """Return the mounts that are folders or files of the host, the outer ones first."""
    found = [
        resolved.mount
        for resolved in entry.volumes.mounts
        if resolved.mount.type == "bind" and resolved.type in ("bind", "volume")
    ]
    return sorted(found, key=lambda mount: mount.destination.count("/"))
