"""Projects of the file system: the numbers that files belong to, and what belongs to them may take."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from scow.contract.errors import InvalidArgument, QuotaUnsupported
from scow.core.store import Store
from scow.core.tasks import completed
from scow.kernel import project_quota
from scow.volume.quotas.store import Limits, Quota, QuotaStore

# Numbers of projects that are taken; administrators mostly count from 1.
_FIRST, _LAST = 1 << 24, (1 << 24) + (1 << 20)
_MOST = Limits(size=1 << 60, inodes=1 << 50)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Projects:
    """The projects of all volumes with limits."""

    def __init__(self, store: Store) -> None:
        self.rows = QuotaStore(store)
        # Numbers that are about to be used: nothing is counted for them yet.
        self._claimed: set[int] = set()

    @contextlib.asynccontextmanager
    async def limited(
        self, volume: str, content: Path, size: int, inodes: int
    ) -> AsyncIterator[Quota]:
        """Let content belong to a project of its own, with limits; the block records what it gets.

        Raises:
            QuotaUnsupported: The file system does not enforce limits.
        """
        with opened(content) as root:
            require_enforced(root, content)
            quota = Quota(volume, self.free(root), size, inodes)
            self._claimed.add(quota.project)
            try:
                # Also when the caller goes away: the descriptor would be closed, and its number another file's.
                await completed(asyncio.to_thread(apply, root, quota))
                yield quota
            finally:
                self._claimed.discard(quota.project)

    def free(self, root: int) -> int:
        """Return the number of a project that nobody uses, neither this engine nor anybody else of the file system.

        Raises:
            QuotaUnsupported: There is none.
        """
        taken = {quota.project for quota in self.rows.all()} | self._claimed
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


def apply(root: int, quota: Quota) -> None:
    """Let a tree belong to a project, then limit that: who is over the limit already cannot join it. Blocks."""
    if project_quota.project_of(root) != quota.project:
        project_quota.set_limits(root, quota.project, 0, 0)
        project_quota.assign(root, quota.project)
    project_quota.set_limits(root, quota.project, quota.size, quota.inodes)


def check(limits: Limits) -> None:
    """Check numbers that are asked for.

    Raises:
        InvalidArgument: No file system has them.
    """
    for what, value, most in zip(Limits._fields, limits, _MOST, strict=True):
        if not 0 <= value <= most:
            raise InvalidArgument(
                f"invalid limit of {what}: {value}",
                what=what,
                which=str(value),
                do=f"give 0, for none, to {most}",
            )


def require_enforced(root: int, folder: Path) -> None:
    """Check that the file system of a folder, open as `root`, enforces limits.

    Raises:
        QuotaUnsupported: It does not.
    """
    if not project_quota.enforced(root):
        raise QuotaUnsupported(
            f"the file system of {folder} enforces no limits of projects",
            what="file system",
            which=str(folder),
            do="mount it with prjquota: ext4 made with -O quota,project, or xfs",
        )


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Give a descriptor of a folder."""
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
