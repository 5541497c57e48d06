"""Limits of volumes, by project quotas of the file system."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.api.volume.v1 import quota_pb2 as pb
from scow.contract.errors import InvalidArgument, QuotaUnsupported, ScowError, VolumeNotLocal
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.kernel import project_quota
from scow.volume.quotas.store import Quota, QuotaStore
from scow.volume.volumes import Volumes

# Numbers of projects that are taken; administrators mostly count from 1.
_FIRST, _LAST = 1 << 24, (1 << 24) + (1 << 20)
_SIZE_MAX, _INODES_MAX = 1 << 60, 1 << 50
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_log = structlog.get_logger()


class Quotas:
    """The limits of all volumes."""

    def __init__(self, store: Store, journal: Journal, volumes: Volumes) -> None:
        self._store = store
        self._rows = QuotaStore(store)
        self._journal = journal
        self._volumes = volumes
        # Numbers that are about to be used: nothing is counted for them yet.
        self._claimed: set[int] = set()

    async def set(self, request: pb.SetLimitsRequest) -> pb.SetLimitsResponse:
        """Limit a volume, also while containers use it; what is not given stays.

        Raises:
            VolumeNotFound, VolumeNotLocal: See these classes.
            QuotaUnsupported: The file system does not enforce limits.
        """
        volume = self._volumes.known(request.volume)
        async with self._volumes.lock(volume.name):
            folder = self._folder(volume.name)
            before = self._rows.get(volume.name)
            size = request.size if request.HasField("size") else before.size if before else 0
            inodes = (
                request.inodes if request.HasField("inodes") else before.inodes if before else 0
            )
            _check(size, inodes)
            with _opened(folder) as root:
                _require_enforced(root, folder)
                project = before.project if before else self._free(root)
                quota = Quota(volume.name, project, size, inodes)
                response = pb.SetLimitsResponse()
                with self._store.transaction() as tx:
                    self._rows.put(tx, quota)
                    facts = {"size": str(size), "inodes": str(inodes)}
                    self._journal.append(tx, "volume", volume.name, "update", facts)
                    remember(tx, response)
                await asyncio.to_thread(_apply, root, quota)
            return response

    def _folder(self, name: str) -> Path:
        folder = self._volumes.folder(self._volumes.known(name))
        if folder is None:
            raise VolumeNotLocal(
                f"the data of volume {name} are not in a folder of the engine's own",
                what="volume",
                which=name,
                do="limit it where its data are; of a tmpfs, with the option size",
            )
        return folder

    def _free(self, root: int) -> int:
        """Return the number of a project that nobody uses, neither this engine nor anybody else of the file system."""
        taken = {quota.project for quota in self._rows.all()} | self._claimed
        for project in range(_FIRST, _LAST):
            if project in taken:
                continue
            usage = project_quota.usage(root, project)
            if usage.size == usage.inodes == 0:
                return project
        raise QuotaUnsupported(
            "all project numbers are taken",
            what="project",
            do="remove volumes with limits that are not needed any more",
        )

    def describe(self, name: str) -> pb.Limits | None:
        """Return the limits of a volume, and what it takes; None where it has none."""
        quota = self._rows.get(name)
        if quota is None:
            return None
        limits = pb.Limits(size=quota.size, inodes=quota.inodes)
        with contextlib.suppress(OSError), _opened(self._folder(name)) as root:
            usage = project_quota.usage(root, quota.project)
            limits.used_size, limits.used_inodes = usage.size, usage.inodes
        return limits

    @contextlib.asynccontextmanager
    async def prepared(self, name: str, content: Path) -> AsyncIterator[int]:
        """Let content that is to become a volume's belong to a project of its own, with the volume's limits.

        So it counts apart from what the volume has, until they change places; then the block calls `adopt`. It gets
        the number of the project, 0 where the volume has no limits.
        """
        quota = self._rows.get(name)
        if quota is None:
            yield 0
            return
        with _opened(content) as root:
            project = self._free(root)
            self._claimed.add(project)
            try:
                await asyncio.to_thread(_apply, root, replace(quota, project=project))
                yield project
            finally:
                self._claimed.discard(project)

    def adopt(self, tx: sqlite3.Connection, name: str, project: int) -> None:
        """Record that a volume's content belongs to another project now; 0 changes nothing."""
        quota = self._rows.get(name)
        if project and quota is not None:
            self._rows.put(tx, replace(quota, project=project))

    async def reconcile(self) -> list[ReconcileAction]:
        """Let each volume's folder belong to the project on record, as after a kill or a change of content."""
        actions = []
        for name in [quota.volume for quota in self._rows.all()]:
            try:
                if await self._restore(name):
                    detail = "its limits were not in force"
                    actions.append(
                        ReconcileAction(object=f"volume/{name}", action="rebuilt", detail=detail)
                    )
            except (OSError, ScowError) as error:
                _log.warning("limits not in force", volume=name, error=str(error))
        return actions

    async def _restore(self, name: str) -> bool:
        """Put a volume's limits into force as they are on record once nobody else changes them."""
        async with self._volumes.lock(name):
            quota = self._rows.get(name)
            if quota is None:
                return False
            with _opened(self._folder(name)) as root:
                usage = project_quota.usage(root, quota.project)
                right = project_quota.project_of(root) == quota.project
                if right and (usage.size_limit, usage.inode_limit) == _rounded(quota):
                    return False
                await asyncio.to_thread(_apply, root, quota)
        return True

    async def apply(self, name: str) -> None:
        """Let a volume's new content have its limits."""
        if self._rows.get(name) is not None:
            await self._restore(name)


def _rounded(quota: Quota) -> tuple[int, int]:
    return -(-quota.size // 1024) * 1024, quota.inodes


def _apply(root: int, quota: Quota) -> None:
    """Let a tree belong to a project, then limit that: who is over the limit already cannot join it."""
    if project_quota.project_of(root) != quota.project:
        project_quota.set_limits(root, quota.project, 0, 0)
        project_quota.assign(root, quota.project)
    project_quota.set_limits(root, quota.project, quota.size, quota.inodes)


def _check(size: int, inodes: int) -> None:
    for what, value, most in (("size", size, _SIZE_MAX), ("inodes", inodes, _INODES_MAX)):
        if not 0 <= value <= most:
            raise InvalidArgument(
                f"invalid limit of {what}: {value}",
                what=what,
                which=str(value),
                do=f"give 0, for none, to {most}",
            )


def _require_enforced(root: int, folder: Path) -> None:
    if not project_quota.enforced(root):
        raise QuotaUnsupported(
            f"the file system of {folder} enforces no limits of projects",
            what="file system",
            which=str(folder),
            do="mount it with prjquota: ext4 made with -O quota,project, or xfs",
        )


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
