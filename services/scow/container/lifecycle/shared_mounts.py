"""File systems of volumes that containers share: a tmpfs, a device, a server's.

They are mounted by the first container that is started with the volume, in its own mount namespace, and every further
one gets a clone of that mount, from the namespace of one that runs. So the file system is there from the first start to
the last end, the kernel keeps the count, and on the host there is no mount that somebody would have to take back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from weakref import WeakValueDictionary

from scow.api.types.v1.types_pb2 import Mount
from scow.api.volume.v1.volume_pb2 import ResolvedMount
from scow.container.model.containers import Containers, Entry
from scow.kernel import mountinfo

# What the volume service marks such a mount with, and what the shim knows another namespace's mount by.
_ONCE = "scow.once"
_NAMESPACE, _DEVICE = "scow.namespace=", "scow.device="
_SUBPATH, _SHARED = "scow.subpath=", "scow.shared="
# Options of a mount, not of its file system: each container has its own.
_OWN = frozenset(("ro", "rw", "rro"))


class SharedMounts:
    """Tells each start where its mounts are to be had. One start at a time mounts the file system of a volume."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._held: dict[str, dict[str, asyncio.Lock]] = {}

    async def resolve(self, entry: Entry, resolved: ResolvedMount) -> Mount:
        """Return what a container that is about to start mounts, which nobody else mounts anew until `done`."""
        if _ONCE not in resolved.mount.options:
            return resolved.mount
        await self._hold(entry, resolved.name)
        options = [option for option in resolved.mount.options if option != _ONCE]
        for other, path in self._users(resolved.name):
            if other is entry and path == resolved.mount.destination:
                continue  # on record already, and about to be made
            devices = _devices(other.described.pid, resolved.mount.type)
            if devices:
                namespace = f"{_NAMESPACE}/proc/{other.described.pid}/ns/mnt"
                own = [o for o in options if o in _OWN or o.startswith(_SUBPATH)]
                return Mount(
                    destination=resolved.mount.destination,
                    type="bind",
                    source=path,
                    options=["bind", namespace, *devices, *own],
                )
        return Mount(
            destination=resolved.mount.destination,
            type=resolved.mount.type,
            source=resolved.mount.source,
            # One container may have it in several places.
            options=[*options, f"{_SHARED}{resolved.name}"],
        )

    async def _hold(self, entry: Entry, name: str) -> None:
        held = self._held.setdefault(entry.id, {})
        if name not in held:
            lock = self._locks.setdefault(name, asyncio.Lock())
            await lock.acquire()
            held[name] = lock

    def done(self, entry: Entry) -> None:
        """Let others go on: a container's start has succeeded or failed."""
        for lock in self._held.pop(entry.id, {}).values():
            lock.release()

    def _users(self, name: str) -> Iterator[tuple[Entry, str]]:
        for other in self._containers.all():
            if other.alive:
                for resolved in other.volumes.mounts:
                    if resolved.name == name and not resolved.request.subpath:
                        yield other, resolved.mount.destination


def _devices(pid: int, kind: str) -> list[str]:
    """Return the options that name the file systems of a kind that a process has mounted."""
    try:
        found = {entry.device for entry in mountinfo.read(pid) if entry.fstype == kind}
    except OSError:  # it has ended
        return []
    return [f"{_DEVICE}{device}" for device in sorted(found)]
