"""A backup on its way from a registry."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator

from scow.contract.errors import DigestMismatch
from scow.volume.backup.format import Chunk, Index, decompressed
from scow.volume.backup.writing import Progress
from scow.volume.peers.image import Repository

# Packs that are fetched ahead, and those that are kept: what comes next is mostly in one of the last ones.
_AHEAD = 2
_KEPT = 6


class Reader:
    """Gives the tar of a backup, each chunk verified.

    Args:
        repository: Where from.
        index: That of the backup.
        progress: Told how far it is.
    """

    def __init__(self, repository: Repository, index: Index, progress: Progress) -> None:
        self._repository = repository
        self._index = index
        self._progress = progress
        self._packs: dict[int, asyncio.Task[bytes]] = {}

    async def tar(self) -> AsyncGenerator[bytes, None]:
        """Give the tar, piece by piece.

        Raises:
            DigestMismatch: A chunk is not what it was.
            ScowError: What the image service says.
        """
        order = self._index.order
        wanted = [self._index.chunks[number].pack for number in order]
        try:
            for position, number in enumerate(order):
                chunk = self._index.chunks[number]
                self._fetch_ahead(wanted, position)
                pack = await asyncio.shield(self._packs[chunk.pack])
                yield await asyncio.to_thread(_plain, chunk, pack)
                self._progress.done += chunk.size
        finally:
            for task in self._packs.values():
                task.cancel()
            await asyncio.gather(*self._packs.values(), return_exceptions=True)

    def _fetch_ahead(self, wanted: list[int], position: int) -> None:
        """Begin to fetch the pack that is wanted now, and the next ones; forget those that were wanted longest ago."""
        pack = wanted[position]
        if pack in self._packs:
            self._packs[pack] = self._packs.pop(pack)
        soon = dict.fromkeys(wanted[position : position + 4 * 16])
        for number in list(soon)[: 1 + _AHEAD]:
            if number not in self._packs:
                self._packs[number] = asyncio.create_task(self._fetch(number))
        while len(self._packs) > _KEPT:
            oldest = next(iter(self._packs))
            if oldest == pack:
                break
            self._packs.pop(oldest).cancel()

    async def _fetch(self, number: int) -> bytes:
        blob = self._index.packs[number]
        content = await self._repository.blob(blob.digest, blob.size)
        self._progress.moved += len(content)
        return content


def _plain(chunk: Chunk, pack: bytes) -> bytes:
    stored = pack[chunk.offset : chunk.offset + chunk.length]
    try:
        plain = decompressed(stored, chunk.size)
    except ValueError as error:
        raise _damaged(chunk) from error
    if len(plain) != chunk.size or hashlib.sha256(plain).digest() != chunk.digest:
        raise _damaged(chunk)
    return plain


def _damaged(chunk: Chunk) -> DigestMismatch:
    digest = f"sha256:{chunk.digest.hex()}"
    return DigestMismatch(
        f"the chunk {digest} of the backup is damaged",
        what="chunk",
        which=digest,
        do="restore another backup",
    )
