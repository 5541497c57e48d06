"""The root of a container as a descriptor: whoever has it sees the container's mounts and nothing else.

Of a running container it is opened through its init; no process enters its namespaces, so nothing of it is ever
executed or loaded (CVE-2019-14271). Of one that does not run the spawner mounts it, attached nowhere, while the
container's lock keeps others from starting it. What only a start can mount, a plugin's volume or a device, is an empty
read-only directory there: nothing is read from below it, or written there where nobody would find it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence

from scow.api.types.v1.types_pb2 import Mount
from scow.container.files import places
from scow.container.files.places import Place, Root
from scow.container.lifecycle import remount
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import ContainerNotRunning, FileNotFound
from scow.kernel import syscalls

# The driver whose volumes are folders of the engine's, but for those that their options place elsewhere.
_LOCAL = "local"


class Roots:
    """Opens the roots of containers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @contextlib.asynccontextmanager
    async def opened(self, entry: Entry) -> AsyncIterator[Root]:
        """Open a container's root; one that does not run is kept from running meanwhile.

        Raises:
            ContainerBusy, ContainerNotFound: It is being made or removed.
            MountFailed, BindSourceNotFound, VolumeNotFound: It does not run, and what it has cannot be mounted.
        """
        async with contextlib.AsyncExitStack() as stack:
            # As its processes see files, with ids of its user namespace; what is mounted here has those of the disk.
            first = entry.described.id_range.first
            root, late, running = _of_running(entry), list[str](), True
            if root is None:
                await stack.enter_async_context(entry.lock)
                root = _of_running(entry)  # it was being started
                if root is None:
                    late, running = await self._late(entry), False
                    root, first = await self._mounted(entry, late), 0
                else:
                    await stack.aclose()
            try:
                yield Root(root, first, tuple(_absent(root, late)), running)
            finally:
                os.close(root)

    async def _late(self, entry: Entry) -> list[str]:
        """Return where something is mounted that only a start can."""
        found = []
        for resolved in entry.volumes.mounts:
            plain = resolved.type in ("bind", "tmpfs")
            if resolved.type == "volume" and resolved.driver == _LOCAL:
                plain = "device" not in (await self._shared.volumes.get(resolved.name)).options
            if not plain:
                found.append(resolved.mount.destination)
        return found

    async def _mounted(self, entry: Entry, late: Sequence[str]) -> int:
        if entry.gone:
            raise states.gone(entry.described)
        if not entry.rootfs.mounts:
            raise states.busy(entry.described)
        try:
            return await self._mount(entry, late)
        except remount.STALE:
            if not await remount.renew(self._shared, entry):
                raise
            return await self._mount(entry, late)

    async def _mount(self, entry: Entry, late: Sequence[str]) -> int:
        read_only = entry.described.config.read_only
        rootfs = entry.rootfs.mounts
        return await self._shared.spawner.whole(rootfs, _mounts(entry, late), read_only=read_only)


def _of_running(entry: Entry) -> int | None:
    """Open the root of a container that runs; None when it does not."""
    return entry.shim.open_root() if entry.alive and entry.shim is not None else None


@contextlib.contextmanager
def lasting(entry: Entry, root: Root, place: Place) -> Iterator[None]:
    """Refuse at the end what was done while the container ended: below its mounts are other files.

    Raises:
        ContainerNotRunning: It may have been done to those.
    """
    if not root.running:
        yield
        return
    where = places.path_within(root.descriptor, place.directory) + b"/"
    if place.name != b".":
        where += place.name + b"/"
    # Now: of one that is in another nothing is left to look up at the end.
    mounted = tuple(_absent(root.descriptor, [m.mount.destination for m in entry.volumes.mounts]))
    yield
    if _is_present(entry, root.descriptor):
        return
    own = syscalls.mount_id(place.directory) == syscalls.mount_id(root.descriptor)
    for mount in (each + b"/" for each in mounted):
        # A directory of the mount itself is still that.
        inside = mount.startswith(where) and (mount != where or place.name != b".")
        if inside or (own and where.startswith(mount)):
            raise ContainerNotRunning(
                f"container {entry.described.name} ended meanwhile, and with it what was mounted"
                f" at {mount[:-1].decode(errors='replace')}",
                what="container",
                which=entry.described.name,
                do="start the container, and copy again",
            )


def _is_present(entry: Entry, root: int) -> bool:
    """Tell whether a root is still that of the container. A descriptor keeps the mount, and so its id."""
    again = _of_running(entry)
    if again is None:
        return False
    try:
        return syscalls.mount_id(again) == syscalls.mount_id(root)
    finally:
        os.close(again)


def _mounts(entry: Entry, late: Sequence[str]) -> list[Mount]:
    """Return the mounts that are folders or files of the host, and covers of what is not; the outer ones first."""
    covers = [
        Mount(destination=each, type="tmpfs", source="tmpfs", options=["ro"]) for each in late
    ]
    found = [
        resolved.mount
        for resolved in entry.volumes.mounts
        if resolved.mount.type == "bind"
        and resolved.type in ("bind", "volume")
        and not _is_below(resolved.mount.destination, late)
    ]
    return sorted((*covers, *found), key=lambda mount: mount.destination.count("/"))


def _is_below(destination: str, late: Sequence[str]) -> bool:
    return any(f"{destination}/".startswith(f"{each.rstrip('/')}/") for each in late)


def _absent(root: int, destinations: Sequence[str]) -> Iterator[bytes]:
    """Yield the paths of mounts, free of links; one that is a file or is gone is left out."""
    for each in destinations:
        with contextlib.suppress(FileNotFound):
            found = places.directory(root, os.fsencode(each))
            try:
                yield places.path_within(root, found)
            finally:
                os.close(found)
