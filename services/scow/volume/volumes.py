"""Volumes: making, holding, filling, letting go, removing.

Order, so that the process may die anywhere: a folder is made before its row, a row is deleted before its
folder is discarded; `reconcile` deletes folders without a row and makes missing ones anew.

A volume is filled with what an image has at its place by the first container that is made with it and has something
there, unless it has content or a container that may be running has it mounted. The owner is offered a folder
(`acquire`), has the content copied there, and says so (`fill`): then it is renamed into its place, which fails when
there is content. So several owners may copy at the same time, and the first one fills; who is killed has done nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from scow.api.types.v1.types_pb2 import Filter, ReconcileAction
from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import (
    InvalidArgument,
    InvalidName,
    NameInUse,
    VolumeInUse,
    VolumeNotFound,
)
from scow.core import filters as filter_rules
from scow.core import labels as object_labels
from scow.core.disk import usage as disk_usage
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.core.times import now_ns, to_proto
from scow.volume import mounts
from scow.volume.directories import Directories
from scow.volume.store import Volume, VolumeStore

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
_FILTERS = frozenset({"name", "label", "driver", "dangling"})
_OPTIONS = frozenset({"type", "device", "o"})


class Volumes:
    """All volumes of one engine."""

    def __init__(self, store: Store, journal: Journal, directories: Directories) -> None:
        self._store = store
        self._rows = VolumeStore(store)
        self._journal = journal
        self._directories = directories

    def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        """Make a volume, or return the one that is there.

        Raises:
            InvalidName: The name has characters that are not allowed.
            InvalidArgument: An unknown driver or option.
            NameInUse: The volume is there with another driver or other options.
        """
        anonymous = not request.name
        volume = self._ensure(
            request.name or os.urandom(32).hex(),
            request.driver,
            dict(request.labels),
            dict(request.options),
            anonymous,
        )
        response = pb.CreateResponse(volume=self._message(volume))
        with self._store.transaction() as tx:
            remember(tx, response)
        return response

    def _ensure(
        self,
        name: str,
        driver: str,
        labels: dict[str, str],
        options: dict[str, str],
        anonymous: bool,
    ) -> Volume:
        driver = driver or "local"
        _check(name, driver, options)
        object_labels.check("labels", labels)
        object_labels.check("options", options)
        known = self._rows.get(name)
        if known is not None:
            if (known.driver, known.options) != (driver, options) and (
                options or driver != "local"
            ):
                raise NameInUse(
                    f"volume {name} exists with other options",
                    what="volume",
                    which=name,
                    do="choose another name, or remove that volume first",
                )
            return known
        volume = Volume(name, driver, now_ns(), labels, options, anonymous)
        self._directories.make(name)
        with self._store.transaction() as tx:
            self._rows.insert(tx, volume)
            self._journal.append(tx, "volume", name, "create", {"driver": driver}, labels)
        return volume

    def get(self, name: str) -> pb.Volume:
        """Return one volume.

        Raises:
            VolumeNotFound: There is none of this name.
        """
        return self._message(self._known(name))

    def select(self, filters: Sequence[Filter]) -> list[pb.Volume]:
        """Return the volumes that meet the filters, by name."""
        wanted = filter_rules.parse(filters, _FILTERS)
        messages = [self._message(volume) for volume in self._rows.all()]
        return [message for message in messages if _matches(message, wanted)]

    def remove(self, name: str, force: bool) -> None:
        """Delete a volume and its data.

        Raises:
            VolumeNotFound: There is none, and not `force`.
            VolumeInUse: Somebody holds it.
        """
        if force and self._rows.get(name) is None:
            return
        self._known(name)
        owners = self._rows.owners(name)
        if owners:
            raise VolumeInUse(
                f"volume {name} is held by {', '.join(owners)}",
                what="volume",
                which=name,
                do="remove these containers first",
                owners=",".join(owners),
            )
        with self._store.transaction() as tx:
            self._forget(tx, name)
            remember(tx, pb.RemoveResponse())
        self._discard([name])

    def acquire(self, owner: str, requests: Sequence[pb.MountRequest]) -> list[pb.ResolvedMount]:
        """Hold the volumes that an owner asks for, and resolve all its mounts.

        Anonymous volumes that the owner held before are used again, in their order.
        """
        if not owner:
            raise InvalidArgument("no owner", what="owner", do='give "container/<id>"')
        for request in requests:
            mounts.check(request)
        resolved: list[pb.ResolvedMount] = []
        names: list[str] = []
        for index, request in enumerate(requests):
            if request.type == "volume":
                volume = self._for(owner, index, request)
                names.append(volume.name)
                resolved.append(self._resolved(owner, request, volume))
            else:
                resolved.append(_resolved_other(request))
        with self._store.transaction() as tx:
            self._rows.hold(tx, owner, names)
        return resolved

    async def fill(self, owner: str) -> list[str]:
        """Put the content that was copied for an owner into its volumes; return the names of those that it filled."""
        filled = []
        for name in self._rows.held(owner):
            if self._may_fill(self._known(name)) and self._directories.fill(name, owner):
                filled.append(name)
            self._directories.take_back(name, owner)
        for name in filled:
            if self._directories.has_content(name):
                # Before it is recorded: what is recorded as filled must be after a power cut.
                await asyncio.to_thread(self._directories.sync, name)
                self._set_filled(name)
        return filled

    def activate(self, owner: str, requests: Sequence[pb.MountRequest]) -> None:
        """Make ready what an owner holds, as its container is about to start.

        Raises:
            InvalidMount: The source of a bind is missing and cannot be made.
        """
        for request in requests:
            if request.type == "bind" and request.create_source:
                mounts.check(request)
                mounts.make_source(request)
        for name in self._rows.held(owner):
            # A folder that was deleted by hand is made anew rather than failing each start.
            self._directories.make(name)
        if not self._rows.is_active(owner):
            with self._store.transaction() as tx:
                self._rows.activate(tx, owner)

    def _may_fill(self, volume: Volume) -> bool:
        if volume.filled or mounts.is_mounted_from_elsewhere(volume):
            return False
        return not self._rows.active(volume.name)

    def _set_filled(self, name: str) -> None:
        """Record that a volume has content: from then on it is never filled, also when it is emptied."""
        with self._store.transaction() as tx:
            self._rows.set_filled(tx, name)

    def _for(self, owner: str, index: int, request: pb.MountRequest) -> Volume:
        labels = dict(request.volume_labels)
        if request.source:
            return self._ensure(request.source, request.volume_driver, labels, {}, anonymous=False)
        # A name derived from the owner: a repeated Acquire finds the volume that the first one made.
        name = _anonymous_name(owner, index, request.target)
        return self._ensure(name, request.volume_driver, labels, {}, anonymous=True)

    def _resolved(self, owner: str, request: pb.MountRequest, volume: Volume) -> pb.ResolvedMount:
        # A folder that was deleted by hand is made anew rather than failing each start.
        self._directories.make(volume.name)
        offered = ""
        if not request.no_copy and self._may_fill(volume):
            if self._directories.has_content(volume.name):
                self._set_filled(volume.name)
            else:
                offered = str(self._directories.offer(volume.name, owner))
        return pb.ResolvedMount(
            mount=mounts.volume(request, volume, self._directories.data(volume.name)),
            type="volume",
            name=volume.name,
            driver=volume.driver,
            read_only=request.read_only,
            anonymous=volume.anonymous,
            fill_path=offered,
        )

    def release(self, owner: str, remove_anonymous: bool) -> list[str]:
        """Let go of all that an owner holds; return the names of the volumes that were removed."""
        held = self._rows.held(owner)
        removed: list[str] = []
        with self._store.transaction() as tx:
            self._rows.release(tx, owner)
            if remove_anonymous:
                removed = [name for name in held if self._is_dangling_anonymous(name)]
                for name in removed:
                    self._forget(tx, name)
        for name in set(held) - set(removed):
            self._directories.take_back(name, owner)
        self._discard(removed)
        return removed

    def _is_dangling_anonymous(self, name: str) -> bool:
        volume = self._rows.get(name)
        return volume is not None and volume.anonymous and not self._rows.owners(name)

    async def usage(self, names: Sequence[str]) -> dict[str, int]:
        """Return the bytes of volumes on the disk, by name; of all of them when none is named.

        Raises:
            VolumeNotFound: There is no such volume.
        """
        chosen = [self.get(name) for name in names] or self.select(())
        return {
            volume.name: (await asyncio.to_thread(disk_usage, Path(volume.mountpoint)))[0]
            for volume in sorted(chosen, key=lambda volume: volume.name)
        }

    def owners(self) -> set[str]:
        """Return everyone who holds something."""
        return self._rows.all_owners()

    def reconcile(self, gone: set[str]) -> list[ReconcileAction]:
        """Release owners that are gone, delete leftovers, make missing folders anew.

        Anonymous volumes of an owner that is gone are kept, as Docker keeps them without `rm -v`.
        """
        actions = [
            ReconcileAction(
                object=f"volume/{name}", action="released", detail=f"owner {owner} is gone"
            )
            for owner in sorted(gone)
            for name in self._rows.held(owner)
        ]
        with self._store.transaction() as tx:
            for owner in gone:
                self._rows.release(tx, owner)
        recorded = {volume.name for volume in self._rows.all()}
        present = self._directories.names()
        for name in sorted(present - recorded):
            self._directories.discard(name)
            actions.append(_action(name, "released", "a folder without a record"))
        for name in sorted(recorded - present):
            self._directories.make(name)
            actions.append(_action(name, "rebuilt", "its folder was missing, the data is lost"))
        for name in recorded:
            # Whoever has started has filled what it was to fill.
            waiting = set(self._rows.owners(name)) - set(self._rows.active(name))
            self._directories.take_back_others(name, waiting)
        halves = self._directories.remove_half_made()
        return actions + [_action(name, "released", "half made") for name in halves]

    async def empty_trash(self) -> None:
        """Delete discarded data without keeping the loop."""
        await asyncio.to_thread(self._directories.empty_trash)

    def _forget(self, tx: sqlite3.Connection, name: str) -> None:
        self._rows.delete(tx, name)
        self._journal.append(tx, "volume", name, "destroy")

    def _discard(self, names: Sequence[str]) -> None:
        for name in names:
            self._directories.discard(name)

    def _known(self, name: str) -> Volume:
        volume = self._rows.get(name)
        if volume is None:
            raise VolumeNotFound(
                f"there is no volume {name}", what="volume", which=name, do="see 'scow volume ls'"
            )
        return volume

    def _message(self, volume: Volume) -> pb.Volume:
        return pb.Volume(
            name=volume.name,
            driver=volume.driver,
            mountpoint=str(self._directories.data(volume.name)),
            created_at=to_proto(volume.created_ns),
            labels=volume.labels,
            options=volume.options,
            anonymous=volume.anonymous,
            owners=self._rows.owners(volume.name),
        )


def _resolved_other(request: pb.MountRequest) -> pb.ResolvedMount:
    mount = mounts.bind(request) if request.type == "bind" else mounts.tmpfs(request)
    return pb.ResolvedMount(
        mount=mount,
        type=request.type,
        read_only=request.read_only,
        propagation=(request.propagation or "rprivate") if request.type == "bind" else "",
    )


def _check(name: str, driver: str, options: dict[str, str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"invalid volume name {name!r}",
            what="volume",
            which=name,
            do="use 2 to 255 of a-z A-Z 0-9 _ . - and begin with a letter or digit; "
            "for a host path give an absolute one",
        )
    if driver != "local":
        raise InvalidArgument(
            f"there is no volume driver {driver!r}",
            what="volume driver",
            which=driver,
            do="use local",
        )
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise InvalidArgument(
            f"the local driver has no option {unknown[0]!r}",
            what="volume option",
            which=unknown[0],
            do=f"use {', '.join(sorted(_OPTIONS))}",
        )


def _anonymous_name(owner: str, index: int, target: str) -> str:
    return hashlib.sha256(f"{owner}\0{index}\0{target}".encode()).hexdigest()


def _matches(volume: pb.Volume, wanted: dict[str, list[str]]) -> bool:
    for key, values in wanted.items():
        if key == "name" and not any(value in volume.name for value in values):
            return False
        if key == "driver" and volume.driver not in values:
            return False
        if key == "label" and not filter_rules.match_labels(volume.labels, values):
            return False
        if key == "dangling" and filter_rules.boolean(key, values) == bool(volume.owners):
            return False
    return True


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=f"volume/{name}", action=action, detail=detail)
