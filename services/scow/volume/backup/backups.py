"""Backups of volumes at registries, made and restored."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scow.api.volume.v1 import backup_pb2 as pb
from scow.contract.errors import InvalidArgument, ManifestNotFound
from scow.core.peers import Peers
from scow.core.requests import remember
from scow.core.tasks import together
from scow.volume.archives.archives import Archives
from scow.volume.backup import format as layout
from scow.volume.backup.format import Blob, Index
from scow.volume.backup.reading import Reader
from scow.volume.backup.writing import Progress, Writer, worthwhile
from scow.volume.directories import Directories
from scow.volume.peers.image import Repository
from scow.volume.snapshots.snapshots import Snapshots
from scow.volume.staging import TREE, Staging
from scow.volume.use_lock import UseLock

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Backups:
    """Makes and restores backups."""

    def __init__(
        self,
        peers: Peers,
        snapshots: Snapshots,
        archives: Archives,
        directories: Directories,
        staging: Staging,
        use_lock: UseLock,
    ) -> None:
        self._peers = peers
        self._snapshots = snapshots
        self._archives = archives
        self._directories = directories
        self._staging = staging
        self._use_lock = use_lock

    async def backup(self, request: pb.BackupRequest, progress: Progress) -> pb.BackupResult:
        """Send what a volume or a snapshot has, as far as the last backup of the reference does not have it.

        A backup that is cut leaves blobs that nothing names; the manifest goes up last.

        Raises:
            VolumeNotFound, SnapshotNotFound, VolumeNotLocal: See these classes.
            InvalidBackup: The reference names something else.
            LimitExceeded: The volume has too many chunks.
            ScowError: What the image service says about the registry.
        """
        repository = _repository(self._peers, request)
        async with self._content(request) as folder:
            earlier = None if request.full else await self._earlier(repository, request.base)
            known = {}
            if earlier is not None:
                present = await _present(repository, earlier)
                known = await asyncio.to_thread(worthwhile, earlier, present)
            with _opened(folder) as root, self._directories.reading(root):
                index = await Writer(repository, earlier, known, progress).run(root)
        digest = await _publish(repository, index, request.volume, request.snapshot)
        return pb.BackupResult(
            reference=request.reference,
            digest=digest,
            size=progress.done,
            sent=progress.moved,
            reused=progress.reused,
        )

    @contextlib.asynccontextmanager
    async def _content(self, request: pb.BackupRequest) -> AsyncIterator[Path]:
        """Give the folder of what is to be backed up; of a volume that is to be frozen a copy, made meanwhile."""
        folder = self._snapshots.folder_of(request.volume, request.snapshot)
        if not request.freeze or request.snapshot:
            yield folder
            return
        async with self._staging.place() as place:
            async with self._use_lock.while_read(request.volume, freeze=True) as hold:
                await self._staging.copy(folder, place)
                hold.check()
            yield place / TREE

    async def _earlier(self, repository: Repository, base: str) -> Index | None:
        """Return the index of the backup to build on; None where the reference names nothing yet."""
        if base:
            other = replace(repository, reference=base)
            if other.name != repository.name:
                raise InvalidArgument(
                    f"the backup {base} is not in the repository {repository.name}",
                    what="base",
                    which=base,
                    do="build on one of the same repository",
                )
            return (await _load(other))[0]
        try:
            return (await _load(repository))[0]
        except ManifestNotFound:
            return None

    async def restore(self, request: pb.RestoreRequest, progress: Progress) -> pb.RestoreResult:
        """Make a volume of a backup.

        Raises:
            ManifestNotFound, InvalidBackup: There is no backup of this reference.
            NameInUse: There is a volume of this name.
            InvalidArchive: It has device nodes, and these were not asked for.
            DigestMismatch: The backup is damaged.
            ScowError: What the image service says about the registry.
        """
        repository = _repository(self._peers, request)
        index, title = await _load(repository)
        name = request.name or title
        if not name:
            raise InvalidArgument(
                "the backup does not say which volume it is of", what="volume", do="give a name"
            )
        reader = Reader(repository, index, progress)
        async with contextlib.aclosing(reader.tar()) as tar:
            made = self._archives.made(name, dict(request.labels), tar, devices=request.devices)
            async with made as (tx, volume, _):
                result = pb.RestoreResult(
                    volume=volume, size=progress.done, received=progress.moved
                )
                remember(tx, result)
        return result


def _repository(peers: Peers, request: pb.BackupRequest | pb.RestoreRequest) -> Repository:
    return Repository(peers, request.reference, request.auth)


async def _load(repository: Repository) -> tuple[Index, str]:
    """Return the index of the backup that a reference names, and the name of the volume that it is of."""
    top = content = await repository.manifest()
    first = layout.first_manifest(content)
    if first:
        content = await repository.manifest(first)
    blob = layout.index_blob(content)
    index = await asyncio.to_thread(Index.of_bytes, await repository.blob(blob.digest, blob.size))
    annotations = json.loads(top).get("annotations")
    title = annotations.get(layout.TITLE) if isinstance(annotations, dict) else ""
    return index, title if isinstance(title, str) else ""


async def _present(repository: Repository, index: Index) -> set[str]:
    """Return the digests of the packs that the repository still has."""
    digests = list(dict.fromkeys(pack.digest for pack in index.packs))
    slots = asyncio.Semaphore(4)

    async def has(digest: str) -> bool:
        async with slots:
            return await repository.has_blob(digest)

    found = await together(*(has(digest) for digest in digests))
    return {digest for digest, there in zip(digests, found, strict=True) if there}


async def _publish(repository: Repository, index: Index, volume: str, snapshot: str) -> str:
    """Put the index and the manifests, the one with the name last; return its digest."""
    created = layout.now()
    annotations = {layout.TITLE: volume, layout.CREATED: created}
    about = {"volume": volume, "snapshot": snapshot, "created": created, "size": index.size}
    config = await _put(repository, json.dumps(about, sort_keys=True).encode())
    listed = await _put(repository, await asyncio.to_thread(index.to_bytes))
    parts = [(listed, layout.INDEX), *((pack, layout.PACK) for pack in _distinct(index.packs))]
    groups = [parts[i : i + layout.PARTS_MAX] for i in range(0, len(parts), layout.PARTS_MAX)]
    contents = [layout.manifest(config, group, annotations) for group in groups]
    if len(contents) == 1:
        return await repository.put_manifest(contents[0], layout.MANIFEST, untagged=False)
    children = [
        Blob(await repository.put_manifest(each, layout.MANIFEST, untagged=True), len(each))
        for each in contents
    ]
    top = layout.manifests(children, annotations)
    return await repository.put_manifest(top, layout.MANIFESTS, untagged=False)


def _distinct(packs: Sequence[Blob]) -> list[Blob]:
    return list(dict.fromkeys(packs))


async def _put(repository: Repository, content: bytes) -> Blob:
    return Blob(await repository.put_blob(content), len(content))


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
