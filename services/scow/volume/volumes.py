"""Volumes as records: making, listing, changing, removing. `holds` has who uses them.

Order, so that the process may die anywhere: a driver makes a volume's place before its row is written; a row is marked
before the driver deletes, and deleted last. `reconcile` goes on with removals that were cut short.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from scow.api.types.v1.types_pb2 import Filter, ReconcileAction
from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import (
    InvalidName,
    NameInUse,
    ScowError,
    VolumeHasSnapshots,
    VolumeInUse,
    VolumeNotFound,
    VolumeNotLocal,
)
from scow.core import labels as object_labels
from scow.core.disk import usage as disk_usage
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.core.times import now_ns, to_proto
from scow.volume import drivers, selection
from scow.volume.drivers import Driver, Drivers
from scow.volume.quotas import projects
from scow.volume.quotas.projects import Projects
from scow.volume.quotas.store import NO_LIMITS, Limits, Quota
from scow.volume.store import Volume, VolumeStore

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
_log = structlog.get_logger()


class Volumes:
    """All volumes of one engine."""

    def __init__(self, store: Store, journal: Journal, drivers: Drivers) -> None:
        self.rows = VolumeStore(store)
        self.store = store
        self.drivers = drivers
        self.projects = Projects(store)
        self._journal = journal
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, name: str) -> asyncio.Lock:
        """Return the lock of one volume: whoever asks its driver for something has it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def driver(self, volume: Volume) -> Driver:
        """Return the driver of a volume.

        Raises:
            InvalidArgument: The engine does not have it.
        """
        return drivers.find(self.drivers, volume.driver)

    async def create(self, request: pb.CreateRequest) -> pb.Volume:
        """Make a volume, or return the one that is there.

        Raises:
            InvalidName: The name has characters that are not allowed.
            InvalidArgument: An unknown driver or option.
            NameInUse: The volume is there with another driver, other options or other limits.
            VolumeNotLocal, QuotaUnsupported: It cannot be limited.
        """
        volume = Volume(
            request.name or os.urandom(32).hex(),
            request.driver,
            now_ns(),
            dict(request.labels),
            dict(request.options),
            anonymous=not request.name,
        )
        limits = Limits(request.size, request.inodes)
        return self.message(await self.ensure(volume, limits, remembered=True))

    async def ensure(
        self, wanted: Volume, limits: Limits = NO_LIMITS, *, remembered: bool = False
    ) -> Volume:
        """Make a volume, or return the one that is there; of its own kind where that is not said.

        Args:
            wanted: What is to be there.
            limits: Of what it takes; none: those that its options have.
            remembered: It is the result of the mutation under way.

        Raises:
            ScowError: As `create`.
        """
        check_name("volume", wanted.name)
        object_labels.check("labels", wanted.labels)
        object_labels.check("options", wanted.options)
        async with self.lock(wanted.name):
            known = self.rows.get(wanted.name)
            if known is not None:
                _check_same(known, wanted)
                self._check_limits(known, limits)
                return known
            volume = Volume(
                wanted.name,
                wanted.driver or drivers.DEFAULT,
                wanted.created_ns,
                wanted.labels,
                wanted.options,
                wanted.anonymous,
            )
            driver = self.driver(volume)
            limits = limits or Limits(driver.size_limit(volume), 0)
            projects.check(limits)
            await self.finish_removal(volume.name)
            await driver.create(volume)
            async with self._limited(volume, limits) as quota:
                with self.store.transaction() as tx:
                    self.record(tx, volume)
                    if quota is not None:
                        self.projects.rows.put(tx, quota)
                    if remembered:
                        remember(tx, self.message(volume))
            return volume

    @contextlib.asynccontextmanager
    async def _limited(self, volume: Volume, limits: Limits) -> AsyncIterator[Quota | None]:
        """Limit a volume whose place has been made; what cannot be limited, or recorded, is taken away again."""
        if not limits:
            yield None
            return
        try:
            folder = self.limitable(volume)
            limited = self.projects.limited(volume.name, folder, limits.size, limits.inodes)
            async with limited as quota:
                yield quota
        except BaseException:
            await self.driver(volume).remove(volume)
            raise

    def limitable(self, volume: Volume) -> Path:
        """Return the folder of a volume that is to be limited.

        Raises:
            VolumeNotLocal: Its data are not in a folder of the engine's own.
        """
        folder = self.folder(volume)
        if folder is None:
            raise VolumeNotLocal(
                f"the data of volume {volume.name} are not in a folder of the engine's own",
                what="volume",
                which=volume.name,
                do="limit it where its data are; of a tmpfs, with the option size",
            )
        return folder

    def _check_limits(self, known: Volume, limits: Limits) -> None:
        quota = self.projects.rows.get(known.name)
        if limits and (quota is None or limits != Limits(quota.size, quota.inodes)):
            raise NameInUse(
                f"volume {known.name} exists with other limits",
                what="volume",
                which=known.name,
                do="change them with 'scow volume update', or choose another name",
            )

    def record(self, tx: sqlite3.Connection, volume: Volume) -> None:
        """Record a volume whose place has been made."""
        facts = {"driver": volume.driver}
        self.rows.insert(tx, volume)
        self._journal.append(tx, "volume", volume.name, "create", facts, volume.labels)

    def get(self, name: str) -> pb.Volume:
        """Return one volume.

        Raises:
            VolumeNotFound: There is none of this name.
        """
        return self.message(self.known(name))

    def known(self, name: str) -> Volume:
        """Return the record of a volume.

        Raises:
            VolumeNotFound: There is none of this name.
        """
        volume = self.rows.get(name)
        if volume is None:
            raise VolumeNotFound(
                f"there is no volume {name}", what="volume", which=name, do="see 'scow volume ls'"
            )
        return volume

    def select(self, filters: Sequence[Filter]) -> list[pb.Volume]:
        """Return the volumes that meet the filters, by name."""
        condition = selection.parse(filters)
        messages = [self.message(volume) for volume in self.rows.all()]
        return [message for message in messages if condition.met(message)]

    def update(self, request: pb.UpdateRequest) -> pb.Volume:
        """Change a volume's labels.

        Raises:
            VolumeNotFound: There is none of this name.
            LimitExceeded: The labels are together too long.
        """
        known = self.known(request.name)
        gone = set(request.remove_labels)
        kept = {key: value for key, value in known.labels.items() if key not in gone}
        labels = {**kept, **request.labels}
        object_labels.check("labels", labels)
        changed = replace(known, labels=labels)
        described = self.message(changed)
        with self.store.transaction() as tx:
            self.rows.set_labels(tx, changed)
            self._journal.append(tx, "volume", known.name, "update", {}, labels)
            remember(tx, described)
        return described

    async def remove(self, name: str, force: bool) -> None:
        """Delete a volume and its data.

        Raises:
            VolumeNotFound: There is none, and not `force`.
            VolumeInUse: Somebody holds it.
            VolumeHasSnapshots: These would go with it.
            ScowError: What its driver says; the volume stays.
        """
        async with self.lock(name):
            volume = self.rows.get(name)
            if volume is None and force:
                return
            volume = self.known(name)
            owners = self.rows.owners(name)
            if owners:
                raise VolumeInUse(
                    f"volume {name} is held by {', '.join(owners)}",
                    what="volume",
                    which=name,
                    do="remove these containers first",
                    owners=",".join(owners),
                )
            if self.rows.has_snapshots(name):
                raise VolumeHasSnapshots(
                    f"volume {name} has snapshots",
                    what="volume",
                    which=name,
                    do="remove them first: see 'scow volume snapshot ls'",
                )
            if self.folder(volume) is None:
                await self._remove_elsewhere(volume)
            with self.store.transaction() as tx:
                self._forget(tx, name)
                remember(tx)
            if self.folder(volume) is not None:
                # After its record: a folder without one is deleted by `reconcile`.
                await self.driver(volume).remove(volume)

    async def _remove_elsewhere(self, volume: Volume) -> None:
        """Have a driver delete what only it knows of: the record stays, out of sight, until that is done."""
        with self.store.transaction() as tx:
            self.rows.begin_removal(tx, volume.name)
        try:
            await self.driver(volume).remove(volume)
        except ScowError:
            with self.store.transaction() as tx:
                self.rows.keep(tx, volume.name)
            raise

    async def finish_removals(self) -> list[str]:
        """Go on with removals that were cut short or put off; return the names of those that are done."""
        return [volume.name for volume in self.rows.removing() if await self._finished(volume.name)]

    async def _finished(self, name: str) -> bool:
        async with self.lock(name):
            try:
                return await self.finish_removal(name)
            except ScowError as error:
                _log.warning("volume not removed yet", volume=name, error=str(error))
                return False

    async def finish_removal(self, name: str) -> bool:
        """Go on with the removal of one volume if there is one. The caller holds the lock."""
        for volume in self.rows.removing():
            if volume.name == name:
                await self.driver(volume).remove(volume)
                with self.store.transaction() as tx:
                    self._forget(tx, name)
                return True
        return False

    def _forget(self, tx: sqlite3.Connection, name: str) -> None:
        self.rows.delete(tx, name)
        self._journal.append(tx, "volume", name, "destroy")

    async def usage(self, names: Sequence[str]) -> dict[str, int]:
        """Return the bytes of volumes on the disk, by name; of all that the engine can count when none is named.

        Raises:
            VolumeNotFound: There is no such volume.
        """
        chosen = [self.known(name) for name in names] or self.rows.all()
        sizes = {}
        for volume in sorted(chosen, key=lambda volume: volume.name):
            folder = self.folder(volume)
            if folder is not None:
                sizes[volume.name] = (await asyncio.to_thread(disk_usage, folder))[0]
        return sizes

    def folder(self, volume: Volume) -> Path | None:
        """Return the folder of the engine's that holds a volume's data, None where there is none."""
        driver = self.drivers.get(volume.driver)
        return driver.folder(volume) if driver else None

    def path(self, volume: Volume) -> str:
        """Return where on the host a volume's data are, empty where that is not known."""
        driver = self.drivers.get(volume.driver)
        return driver.path(volume) if driver else ""

    async def reconcile(self) -> list[ReconcileAction]:
        """Finish what was cut short, and let each driver compare its volumes with what is there."""
        done = await self.finish_removals()
        actions = [
            ReconcileAction(object=f"volume/{name}", action="released", detail="its removal")
            for name in done
        ]
        volumes = self.rows.all()
        for name, driver in self.drivers.items():
            own = [volume for volume in volumes if volume.driver == name]
            actions += await driver.reconcile(own)
        return actions

    def message(self, volume: Volume) -> pb.Volume:
        """Return a volume as clients see it; without a place when its driver is not there."""
        driver = self.drivers.get(volume.driver)
        return pb.Volume(
            name=volume.name,
            driver=volume.driver,
            mountpoint=self.path(volume),
            fault=driver.fault() if driver else f"there is no driver {volume.driver}",
            scope=driver.capabilities.scope if driver else "",
            created_at=to_proto(volume.created_ns),
            labels=volume.labels,
            options=volume.options,
            anonymous=volume.anonymous,
            owners=self.rows.owners(volume.name),
        )


def check_name(what: str, name: str) -> None:
    """Check the name of a volume or of a snapshot.

    Raises:
        InvalidName: It has characters that are not allowed.
    """
    if _NAME.fullmatch(name):
        return
    # Docker's words, as far as they go.
    fault = f"{name!r} includes invalid characters for a {what} name"
    if len(name) < 2:
        fault = f"{what} name {name!r} is too short, names should be at least two alphanumeric characters"
    path = "; for a host path give an absolute one" if what == "volume" else ""
    raise InvalidName(
        fault,
        what=what,
        which=name,
        do=f"use 2 to 255 of a-z A-Z 0-9 _ . - and begin with a letter or digit{path}",
    )


def _check_same(known: Volume, wanted: Volume) -> None:
    """Refuse a name that another volume has; who says nothing takes what is there."""
    driver = wanted.driver or known.driver
    if driver != known.driver or (wanted.options and wanted.options != known.options):
        raise NameInUse(
            f"volume {known.name} exists with other options",
            what="volume",
            which=known.name,
            do="choose another name, or remove that volume first",
        )
