"""Who uses which volumes: holding, filling, mounting, letting go.

An owner holds volumes from `acquire` to `release`; from `activate` to `deactivate` its container may have them mounted.

A volume is filled with what an image has at its place by the first container that is made with it and has something
there, unless it has content or a container that may be running has it mounted. The owner is offered a folder
(`acquire`), has the content copied there, and says so (`fill`): then it is renamed into its place, which fails when
there is content. So several owners may copy at the same time, and the first one fills; who is killed has done nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import InvalidArgument, ScowError, VolumeInUse, VolumeNotFound
from scow.core.times import now_ns
from scow.volume import mounts
from scow.volume.directories import Directories
from scow.volume.drivers import Source
from scow.volume.store import Volume
from scow.volume.use_lock import UseLock
from scow.volume.volumes import Volumes

_log = structlog.get_logger()


class Holds:
    """The uses of all volumes.

    Args:
        volumes: The records.
        directories: The folders of those that the engine keeps itself.
        use_lock: Volumes that must not come to be used for a moment.
        limit: Called with the name of a volume that has new content, so that its limits hold for that.
    """

    def __init__(
        self,
        volumes: Volumes,
        directories: Directories,
        use_lock: UseLock,
        limit: Callable[[str], Awaitable[None]],
    ) -> None:
        self._limit = limit
        self._volumes = volumes
        self._use_lock = use_lock
        self._rows = volumes.rows
        self._store = volumes.store
        self._directories = directories

    async def acquire(self, wish: pb.AcquireRequest) -> list[pb.ResolvedMount]:
        """Hold the volumes that an owner asks for, and resolve all its mounts.

        Anonymous volumes that the owner held before are used again, in their order.

        Raises:
            InvalidMount, InvalidName, InvalidArgument, BindSourceNotFound: The request cannot be met.
        """
        if not wish.owner:
            raise InvalidArgument("no owner", what="owner", do='give "container/<id>"')
        mounts.check_all(wish.mounts)
        resolved: list[pb.ResolvedMount] = []
        names: list[str] = []
        for index, request in enumerate(wish.mounts):
            if request.type == "volume":
                volume = await self._volumes.ensure(_wanted(wish.owner, index, request))
                names.append(volume.name)
                resolved.append(self._resolved(wish.owner, request, volume))
            else:
                resolved.append(_resolved_other(request))
        if any(self._rows.get(name) is None for name in names):
            return await self.acquire(wish)  # one was removed meanwhile
        with self._store.transaction() as tx:
            self._rows.hold(tx, wish, names)
        return resolved

    def _resolved(self, owner: str, request: pb.MountRequest, volume: Volume) -> pb.ResolvedMount:
        offered = ""
        folder = self._volumes.folder(volume)
        # A part of a volume is not filled: what the image has there belongs to the whole.
        filled = request.no_copy or request.subpath
        if folder is not None and not filled and self._may_fill(volume):
            # A folder that was deleted by hand is made anew rather than failing.
            self._directories.make(volume.name)
            if self._directories.has_content(volume.name):
                self._set_filled(volume.name)
            else:
                offered = str(self._directories.offer(volume.name, owner))
        found = _resolved_volume(request, volume, None)
        found.mount.source = self._volumes.path(volume)
        found.fill_path = offered
        return found

    async def fill(self, owner: str) -> list[str]:
        """Put the content that was copied for an owner into its volumes; return the names of those that it filled."""
        filled = []
        for name in self._rows.held(owner):
            volume = self._volumes.known(name)
            if self._volumes.folder(volume) is None:
                continue
            if self._may_fill(volume) and self._directories.fill(name, owner):
                filled.append(name)
            self._directories.take_back(name, owner)
        for name in filled:
            if self._directories.has_content(name):
                # Before it is recorded: what is recorded as filled must be after a power cut.
                await asyncio.to_thread(self._directories.sync, name)
                self._set_filled(name)
                await self._limit(name)
        return filled

    def _may_fill(self, volume: Volume) -> bool:
        return not volume.filled and not self._rows.active(volume.name)

    def _set_filled(self, name: str) -> None:
        """Record that a volume has content: from then on it is never filled, also when it is emptied."""
        with self._store.transaction() as tx:
            self._rows.set_filled(tx, name)

    async def extend(self, owner: str, request: pb.MountRequest) -> pb.ResolvedMount:
        """Add one mount to those that an owner acquired; the same again changes nothing.

        Raises:
            InvalidMount, InvalidName, InvalidArgument, BindSourceNotFound: The request cannot be met.
        """
        wish = self._rows.wish(owner) or pb.AcquireRequest(owner=owner)
        if request not in wish.mounts:
            wish.mounts.append(request)
        mounts.check_all(wish.mounts)
        index = list(wish.mounts).index(request)
        names = set(self._rows.held(owner))
        if request.type == "volume":
            volume = await self._volumes.ensure(_wanted(owner, index, request))
            names.add(volume.name)
            resolved = _resolved_volume(request, volume, None)
            resolved.mount.source = self._volumes.path(volume)
        else:
            resolved = _resolved_other(request)
        with self._store.transaction() as tx:
            self._rows.hold(tx, wish, names)
        return resolved

    async def withdraw(self, owner: str, target: str) -> None:
        """Take one mount from those that an owner acquired; nothing has it mounted any more."""
        wish = self._rows.wish(owner)
        if wish is None:
            return
        gone = [each for each in wish.mounts if each.target == target]
        if not gone:
            return
        left = pb.AcquireRequest(owner=owner)
        names: set[str] = set()
        for index, each in enumerate(wish.mounts):
            if each not in gone:
                kept = left.mounts.add()
                kept.CopyFrom(each)
                if each.type == "volume":
                    # By its name from now on: that of one without a name depends on its number.
                    kept.source = _wanted(owner, index, each).name
                    names.add(kept.source)
        await self._unmount(owner, set(self._rows.held(owner)) - names)
        with self._store.transaction() as tx:
            self._rows.hold(tx, left, names)

    async def activate(self, owner: str, target: str = "") -> list[pb.ResolvedMount]:
        """Make ready what an owner holds, as its container is about to have it; return what is to be mounted.

        It waits while one of these volumes is restored, or copied with its containers frozen.

        Args:
            owner: Who.
            target: Of one mount; empty: all.

        Raises:
            VolumeInUse: Somebody has a volume to himself, or is to have it and another one writes to it.
            ScowError: What a driver says; then nothing more is mounted for the owner than before.
        """
        wish = self._rows.wish(owner)
        if wish is None:
            return []
        wanted = [
            (_wanted(owner, index, request).name, request)
            for index, request in enumerate(wish.mounts)
            if request.type == "volume" and target in ("", request.target)
        ]
        await self._use_lock.passed([name for name, _ in wanted])
        self._check_writers(owner, wanted)
        before = set(self._rows.mounted(owner))
        with self._store.transaction() as tx:
            self._rows.activate(tx, owner, [name for name, _ in wanted])
        try:
            return [await self._mounted(owner, name, request) for name, request in wanted]
        except BaseException:
            await self._unmount(owner, set(self._rows.mounted(owner)) - before)
            raise

    def _check_writers(self, owner: str, wanted: Sequence[tuple[str, pb.MountRequest]]) -> None:
        """Refuse a second writer where one of the two is to be the only one."""
        for name, request in wanted:
            if request.read_only:
                continue
            for use in self._uses(name, self._rows.mounted_by_others(name, owner)):
                if not use.read_only and (use.exclusive or request.exclusive):
                    raise VolumeInUse(
                        f"volume {name} is written to by {use.owner}, and one of both is"
                        " to be its only writer",
                        what="volume",
                        which=name,
                        do="stop that container first, or mount it read-only",
                        owners=use.owner,
                    )

    def uses(self, name: str) -> list[pb.VolumeUse]:
        """Return how a volume is used, in the order of its owners."""
        return self._uses(name, self._rows.owners(name))

    def _uses(self, name: str, owners: Sequence[str]) -> list[pb.VolumeUse]:
        found = []
        for owner in owners:
            wish = self._rows.wish(owner)
            mounted = name in self._rows.mounted(owner)
            for index, request in enumerate(wish.mounts if wish else ()):
                if request.type == "volume" and _wanted(owner, index, request).name == name:
                    found.append(
                        pb.VolumeUse(
                            owner=owner,
                            target=request.target,
                            read_only=request.read_only,
                            exclusive=request.exclusive,
                            mounted=mounted,
                        )
                    )
        return found

    async def _mounted(self, owner: str, name: str, request: pb.MountRequest) -> pb.ResolvedMount:
        volume = self._volumes.known(name)
        async with self._volumes.lock(name):
            source = await self._volumes.driver(volume).mount(volume, owner)
        return _resolved_volume(request, volume, source)

    async def deactivate(self, owner: str) -> None:
        """Take back what `activate` made ready, after the owner's container has ended.

        What a driver cannot do now is done later.
        """
        await self._unmount(owner, self._rows.mounted(owner))

    async def _unmount(self, owner: str, names: Collection[str]) -> None:
        done = []
        for name in set(names) & set(self._rows.mounted(owner)):
            try:
                volume = self._volumes.known(name)
                async with self._volumes.lock(name):
                    await self._volumes.driver(volume).unmount(volume, owner)
            except VolumeNotFound:
                pass
            except ScowError as error:
                _log.warning("not unmounted yet", volume=name, owner=owner, error=str(error))
                continue
            done.append(name)
        if done:
            with self._store.transaction() as tx:
                self._rows.deactivate(tx, owner, done)

    async def release(self, owner: str, remove_anonymous: bool) -> list[str]:
        """Let go of all that an owner holds; return the names of the volumes that were removed.

        What its driver cannot unmount now stays held; `reconcile` comes back to it.
        """
        await self.deactivate(owner)
        held = self._rows.held(owner)
        removed: list[str] = []
        with self._store.transaction() as tx:
            self._rows.release(tx, owner)
            if remove_anonymous:
                removed = [name for name in held if self._is_dangling_anonymous(name)]
                for name in removed:
                    self._rows.begin_removal(tx, name)
        for name in set(held) - set(removed):
            self._directories.take_back(name, owner)
        if removed:
            await self._volumes.finish_removals()
        return removed

    def _is_dangling_anonymous(self, name: str) -> bool:
        volume = self._rows.get(name)
        if volume is None or not volume.anonymous:
            return False
        return not self._rows.owners(name) and not self._rows.has_snapshots(name)

    def owners(self) -> set[str]:
        """Return everyone who holds something."""
        return self._rows.all_owners()

    async def reconcile(self, gone: set[str]) -> list[ReconcileAction]:
        """Release owners that are gone, and take back what was offered to whoever fills no more.

        Anonymous volumes of an owner that is gone are kept, as Docker keeps them without `rm -v`.
        """
        actions = [
            ReconcileAction(
                object=f"volume/{name}", action="released", detail=f"owner {owner} is gone"
            )
            for owner in sorted(gone)
            for name in self._rows.held(owner)
        ]
        for owner in sorted(gone):
            await self.release(owner, remove_anonymous=False)
        for volume in self._rows.all():
            if self._volumes.folder(volume) is not None:
                # Whoever has started has filled what it was to fill.
                waiting = set(self._rows.owners(volume.name)) - set(self._rows.active(volume.name))
                self._directories.take_back_others(volume.name, waiting)
        return actions


def _wanted(owner: str, index: int, request: pb.MountRequest) -> Volume:
    """Return the volume that a mount asks for."""
    # A name derived from the owner: a repeated Acquire finds the volume that the first one made.
    anonymous = hashlib.sha256(f"{owner}\0{index}\0{request.target}".encode()).hexdigest()
    return Volume(
        request.source or anonymous,
        request.volume_driver,
        now_ns(),
        dict(request.volume_labels),
        dict(request.volume_options),
        anonymous=not request.source,
    )


def _resolved_volume(
    request: pb.MountRequest, volume: Volume, source: Source | None
) -> pb.ResolvedMount:
    named = pb.MountRequest()
    named.CopyFrom(request)
    named.source = volume.name
    return pb.ResolvedMount(
        mount=mounts.volume(request, source),
        type="volume",
        name=volume.name,
        driver=volume.driver,
        read_only=request.read_only,
        anonymous=volume.anonymous,
        request=named,
    )


def _resolved_other(request: pb.MountRequest) -> pb.ResolvedMount:
    resolve = {"tmpfs": mounts.tmpfs, "image": mounts.image}.get(request.type, mounts.bind)
    return pb.ResolvedMount(
        mount=resolve(request),
        type=request.type,
        read_only=request.read_only or request.type == "image",
        propagation=(request.propagation or "rprivate") if request.type == "bind" else "",
        request=request,
    )
