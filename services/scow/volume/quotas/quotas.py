"""Limits of volumes, by project quotas of the file system."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.api.volume.v1 import quota_pb2 as pb
from scow.contract.errors import ScowError
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.core.tasks import completed
from scow.kernel import project_quota
from scow.volume.quotas import projects
from scow.volume.quotas.store import Limits, Quota
from scow.volume.volumes import Volumes

_log = structlog.get_logger()


class Quotas:
    """The limits of all volumes."""

    def __init__(self, store: Store, journal: Journal, volumes: Volumes) -> None:
        self._store = store
        self._projects = volumes.projects
        self._rows = volumes.projects.rows
        self._journal = journal
        self._volumes = volumes

    async def set(self, request: pb.SetLimitsRequest) -> pb.SetLimitsResponse:
        """Limit a volume, also while containers use it; what is not given stays.

        Raises:
            VolumeNotFound, VolumeNotLocal: See these classes.
            QuotaUnsupported: The file system does not enforce limits.
        """
        volume = self._volumes.known(request.volume)
        async with self._volumes.lock(volume.name):
            folder = self._volumes.limitable(volume)
            before = self._rows.get(volume.name)
            size = request.size if request.HasField("size") else before.size if before else 0
            inodes = (
                request.inodes if request.HasField("inodes") else before.inodes if before else 0
            )
            projects.check(Limits(size, inodes))
            with projects.opened(folder) as root:
                projects.require_enforced(root, folder)
                project = before.project if before else self._projects.free(root)
                quota = Quota(volume.name, project, size, inodes)
                response = pb.SetLimitsResponse()
                with self._store.transaction() as tx:
                    self._rows.put(tx, quota)
                    facts = {"size": str(size), "inodes": str(inodes)}
                    self._journal.append(tx, "volume", volume.name, "update", facts)
                    remember(tx, response)
                await completed(asyncio.to_thread(projects.apply, root, quota))
            return response

    def describe(self, name: str) -> pb.Limits | None:
        """Return the limits of a volume, and what it takes; None where it has none."""
        quota = self._rows.get(name)
        if quota is None:
            return None
        limits = pb.Limits(size=quota.size, inodes=quota.inodes)
        with (
            contextlib.suppress(OSError),
            projects.opened(self._volumes.limitable(self._volumes.known(name))) as root,
        ):
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
        async with self._projects.limited(name, content, quota.size, quota.inodes) as claimed:
            yield claimed.project

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
            with projects.opened(self._volumes.limitable(self._volumes.known(name))) as root:
                usage = project_quota.usage(root, quota.project)
                right = project_quota.project_of(root) == quota.project
                if right and (usage.size_limit, usage.inode_limit) == _rounded(quota):
                    return False
                await completed(asyncio.to_thread(projects.apply, root, quota))
        return True

    async def apply(self, name: str) -> None:
        """Let a volume's new content have its limits."""
        if self._rows.get(name) is not None:
            await self._restore(name)


def _rounded(quota: Quota) -> tuple[int, int]:
    return -(-quota.size // 1024) * 1024, quota.inodes
