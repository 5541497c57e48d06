"""Records compared with the other services and with folders: what a killed service left is given back."""

from __future__ import annotations

from collections.abc import Set

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.build.cache.mounts import CacheMounts
from scow.build.cache.policy import CachePolicy
from scow.build.cache.records import Cache
from scow.build.context.directory import Directories
from scow.build.history.builds import Builds
from scow.build.peers.containers import Containers
from scow.build.store import BuildStore
from scow.contract.errors import ScowError

_log = structlog.get_logger()


class Reconciler:
    """Reconciles.

    Args:
        builds: All builds.
        cache: Results of steps.
        containers: Who makes those of RUN.
        directories: What clients sent.
        mounts: Caches that RUN mounts.
        rows: The tables.
        active: Containers that steps under way run in.
        policy: What of the cache goes by itself.
    """

    def __init__(
        self,
        builds: Builds,
        cache: Cache,
        containers: Containers,
        directories: Directories,
        mounts: CacheMounts,
        rows: BuildStore,
        active: Set[str],
        policy: CachePolicy,
    ) -> None:
        self._policy = policy
        self._active = active
        self._builds = builds
        self._cache = cache
        self._containers = containers
        self._directories = directories
        self._mounts = mounts
        self._rows = rows

    async def reconcile(self) -> list[ReconcileAction]:
        """Compare all, and tell what was done. A service that does not answer is asked the next time."""
        ended = self._builds.reconcile()
        actions = [_action(f"build/{build}", "recorded", "the service ended") for build in ended]
        for part in (self._remove_containers, self._cache.reconcile, self._policy.collect):
            try:
                actions += await part()
            except ScowError as error:
                _log.info("not reconciled", error=str(error))
        return actions + await self._remove_folders()

    async def _remove_containers(self) -> list[ReconcileAction]:
        """Remove the containers of builds that have ended."""
        actions = []
        for container, build in (await self._containers.of_builds()).items():
            if build not in self._builds.running and container not in self._active:
                await self._containers.remove(container)
                actions.append(_action(f"container/{container}", "released", "its build has ended"))
        return actions

    async def _remove_folders(self) -> list[ReconcileAction]:
        removed = []
        for number in self._directories.numbers() - self._rows.contexts().keys():
            # Asked for each, as others may have been made while one before was deleted.
            if number not in self._rows.contexts() and not self._directories.is_busy(number):
                await self._directories.remove(number)
                removed.append(f"context/{number}")
        for name in self._mounts.strays():
            if name in self._mounts.strays():
                await self._mounts.remove(name)
                removed.append(f"mount/{name}")
        return [_action(name, "released", "a folder without a record") for name in removed]


def _action(name: str, done: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=done, detail=detail)
