"""Which backups a repository has, and which of them are kept.

Only what says itself that it is a backup is looked at, and deleted: images and other artifacts of the repository stay.
Packs are shared by backups that build on each other; the registry's own garbage collection knows which are needed.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scow.api.volume.v1 import backup_pb2 as pb
from scow.contract.errors import InvalidArgument, InvalidBackup, ManifestNotFound
from scow.core.peers import Peers
from scow.core.tasks import together
from scow.volume.backup import format as layout
from scow.volume.peers.image import Repository

# Manifests that are asked for at once.
_AT_ONCE = 4


@dataclass(frozen=True)
class Found:
    """A backup at a registry."""

    digest: str
    tags: tuple[str, ...]
    about: layout.About

    def message(self) -> pb.Backup:
        """Return it as clients see it."""
        message = pb.Backup(digest=self.digest, tags=self.tags, volume=self.about.volume)
        message.created_at.FromMicroseconds(self.about.created)
        return message


class Retention:
    """Lists and deletes backups."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def list(self, request: pb.ListBackupsRequest) -> list[pb.Backup]:
        """Describe the backups of a repository, by volume, then from the oldest to the newest.

        Raises:
            ScowError: What the image service says about the registry.
        """
        repository = Repository(self._peers, request.repository, request.auth)
        return [found.message() for found in await _backups(repository)]

    async def prune(self, request: pb.PruneBackupsRequest) -> pb.PruneBackupsResponse:
        """Delete the backups that are not to be kept, the oldest ones first.

        Raises:
            InvalidArgument: Nothing says what is to be kept.
            RegistryRefused: The registry deletes nothing.
            ScowError: What the image service says about the registry.
        """
        within = request.keep_within.ToMicroseconds()
        if min(request.keep_last, within) < 0 or not (request.keep_last or within):
            raise InvalidArgument(
                "nothing says which backups are kept",
                what="keep_last",
                which=str(request.keep_last),
                do="say how many of each volume, or how old ones, are kept",
            )
        repository = Repository(self._peers, request.repository, request.auth)
        found = await _backups(repository)
        since = time.time_ns() // 1000 - within if within else None
        kept = chosen(found, request.keep_last, since)
        old = sorted(set(found) - kept, key=lambda each: (each.about.created, each.digest))
        if not request.dry_run:
            await _delete(repository, old, kept)
        return pb.PruneBackupsResponse(
            removed=[each.message() for each in old],
            kept=[each.message() for each in found if each in kept],
        )


def chosen(found: Sequence[Found], last: int, since: int | None) -> set[Found]:
    """Return the backups that are kept.

    Args:
        found: All.
        last: So many of each volume, the newest ones.
        since: And those that were made since then, microseconds since 1970; None means no others.
    """
    volumes: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        volumes[each.about.volume].append(each)
    kept = {each for each in found if since is not None and each.about.created >= since}
    for own in volumes.values():
        kept.update(sorted(own, key=_age)[-last:] if last else ())
    return kept


def _age(found: Found) -> tuple[int, str]:
    return found.about.created, found.digest


async def _backups(repository: Repository) -> list[Found]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def look(tag: str) -> tuple[str, str, layout.About] | None:
        async with slots:
            try:
                digest, content = await repository.named(tag)
                return tag, digest, layout.about(content)
            except (InvalidBackup, ManifestNotFound):  # something else, or gone meanwhile
                return None

    looked = await together(*(look(tag) for tag in await repository.tags()))
    tags: dict[str, list[str]] = defaultdict(list)
    abouts = {}
    for one in filter(None, looked):
        tag, digest, abouts[digest] = one
        tags[digest].append(tag)
    found = [Found(digest, tuple(sorted(tags[digest])), about) for digest, about in abouts.items()]
    return sorted(found, key=lambda each: (each.about.volume, *_age(each)))


async def _delete(repository: Repository, old: Sequence[Found], kept: set[Found]) -> None:
    """Delete backups, and the manifests that only they name: these later, so that what has a name is whole."""
    needed = {each.digest for each in kept}.union(*(each.about.parts for each in kept))
    for each in old:
        await repository.delete(each.digest)
        for part in sorted(each.about.parts - needed):
            if await _is_part(repository, part):
                await repository.delete(part)


async def _is_part(repository: Repository, digest: str) -> bool:
    """Tell whether a manifest is a backup's: whoever made the index could name anything."""
    try:
        layout.about(await repository.manifest(digest))
    except (InvalidBackup, ManifestNotFound):  # deleted before
        return False
    return True
