"""Mounts that a container gets or loses after its creation, whether it runs or not.

Order of an attachment: the volume is held, the mount is on record, then it is made in the running container; whoever is
killed in between leaves a record, which the next start follows and a detachment takes back. A detachment goes the other
way round, and can be done again.
"""

from __future__ import annotations

import contextlib

from scow.api.container.v1 import container_pb2 as pb
from scow.api.volume.v1 import volume_pb2
from scow.container.lifecycle.activation import activate
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.create import mount_point
from scow.container.lifecycle.shared_mounts import SharedMounts
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract import paths
from scow.contract.errors import InvalidMount, MountNotFound, ScowError
from scow.core.requests import remember
from scow.core.tasks import completed

_CHANGEABLE = frozenset(
    (
        *(pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_RESTARTING),
        *(pb.STATUS_RUNNING, pb.STATUS_PAUSED),
    )
)


class LiveMounts:
    """Attaches and detaches."""

    def __init__(self, shared: Shared, cleanup: Cleanup, mounted: SharedMounts) -> None:
        self._shared = shared
        self._cleanup = cleanup
        self._mounted = mounted

    async def attach(self, entry: Entry, spec: pb.MountSpec) -> pb.AttachMountResponse:
        """Give a container one more mount; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        async with entry.lock:
            _check_changeable(entry)
            wanted = _request(entry, spec)
            resolved = await self._shared.volumes.extend(entry.owner, wanted)
            try:
                response = self._record(entry, resolved)
                if entry.alive:
                    await self._mount(entry, resolved.mount.destination, response)
            except BaseException:
                await completed(self._undo(entry, resolved.mount.destination))
                raise
            finally:
                self._mounted.done(entry)
            return response

    def _record(self, entry: Entry, resolved: volume_pb2.ResolvedMount) -> pb.AttachMountResponse:
        response = pb.AttachMountResponse(mount=mount_point(resolved))
        volumes = volume_pb2.AcquireResponse(mounts=[*entry.volumes.mounts, resolved])
        containers = self._shared.containers
        with containers.change(entry, ["mount"]) as (tx, draft):
            draft.mounts.append(response.mount)
            containers.store.hold(tx, entry.id, entry.rootfs, volumes)
            if not entry.alive:
                remember(tx, response)
        entry.volumes = volumes
        return response

    async def _mount(self, entry: Entry, target: str, response: pb.AttachMountResponse) -> None:
        (mount,) = await activate(self._shared, self._cleanup, self._mounted, entry, target)
        await self._shared.shim(entry.id).mount(mount)
        with self._shared.containers.store.store.transaction() as tx:
            remember(tx, response)

    async def _undo(self, entry: Entry, target: str) -> None:
        """Take a mount that could not be made off the record; what cannot be given back now is at the removal."""
        if entry.alive:
            with contextlib.suppress(ScowError):  # it was made, and then the answer was lost
                await self._shared.shim(entry.id).unmount(target, force=True)
        self._forget(entry, target, None)
        with contextlib.suppress(ScowError):
            await self._shared.volumes.withdraw(entry.owner, target)

    async def detach(self, entry: Entry, target: str, *, force: bool) -> pb.DetachMountResponse:
        """Take a mount of a container away; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        async with entry.lock:
            _check_changeable(entry)
            resolved = _find(entry, target)
            target = resolved.mount.destination
            if entry.alive:
                await self._shared.shim(entry.id).unmount(target, force=force)
            await self._shared.volumes.withdraw(entry.owner, resolved.request.target)
            response = pb.DetachMountResponse()
            self._forget(entry, target, response)
            return response

    def _forget(self, entry: Entry, target: str, response: pb.DetachMountResponse | None) -> None:
        left = [each for each in entry.volumes.mounts if each.mount.destination != target]
        volumes = volume_pb2.AcquireResponse(mounts=left)
        containers = self._shared.containers
        with containers.change(entry, ["unmount"]) as (tx, draft):
            kept = [mount for mount in draft.mounts if mount.destination != target]
            del draft.mounts[:]
            draft.mounts.extend(kept)
            containers.store.hold(tx, entry.id, entry.rootfs, volumes)
            if response is not None:
                remember(tx, response)
        entry.volumes = volumes


def _check_changeable(entry: Entry) -> None:
    if entry.gone:
        raise states.gone(entry.described)
    if entry.described.status not in _CHANGEABLE:
        raise states.busy(entry.described)


def _request(entry: Entry, spec: pb.MountSpec) -> volume_pb2.MountRequest:
    """Return what the volume service is asked for.

    Raises:
        InvalidMount: The place is taken, or the type is one that only the start can mount.
    """
    # The messages have the same fields.
    request = volume_pb2.MountRequest.FromString(spec.SerializeToString())
    place = paths.shortest(spec.target)
    if any(paths.shortest(m.mount.destination) == place for m in entry.volumes.mounts):
        raise InvalidMount(
            f"Duplicate mount point: {spec.target}",
            what="mount",
            which=spec.target,
            do="detach what is there first, or choose another target",
        )
    if spec.type == "image":
        raise InvalidMount(
            f"the image {spec.source} cannot be attached to a container that is there",
            what="mount",
            which=spec.target,
            do="give it when the container is created",
        )
    request.no_copy = request.type == "volume"
    return request


def _find(entry: Entry, target: str) -> volume_pb2.ResolvedMount:
    place = paths.shortest(target)
    for resolved in entry.volumes.mounts:
        if paths.shortest(resolved.mount.destination) == place:
            return resolved
    raise MountNotFound(
        f"container {entry.described.name} has no mount at {target}",
        what="mount",
        which=target,
        do=f"see 'scow inspect {entry.described.name}'",
    )
