"""A backup on its way to a registry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from scow.contract.errors import DataLoss
from scow.volume.backup.format import END, HEAD, PACK_SIZE, Blob, Chunk, Index
from scow.volume.peers.image import Repository

_WORKER = "scow.volume.backup.chunks"
# Packs on their way at once.
_SENDING = 2
# Of a pack of an earlier backup, the part that must still be in use; what is left of others goes up again.
_WORTH = 0.5


@dataclass
class Progress:
    """How far a backup or a restore is.

    Attributes:
        done: Bytes of the tar that were read, or written.
        moved: Bytes that went to the registry, or came from it.
        reused: Bytes of the tar that an earlier backup has.
    """

    done: int = 0
    moved: int = 0
    reused: int = 0


def worthwhile(index: Index, present: set[str]) -> dict[bytes, Chunk]:
    """Return the chunks of an earlier backup that need not go up again, by their digests.

    Args:
        index: That of the earlier backup.
        present: Digests of the packs that the repository still has.
    """
    used = [0] * len(index.packs)
    for chunk in index.chunks:
        used[chunk.pack] += chunk.length
    kept = {
        number
        for number, pack in enumerate(index.packs)
        if pack.digest in present and used[number] >= pack.size * _WORTH
    }
    return {chunk.digest: chunk for chunk in index.chunks if chunk.pack in kept}


class Writer:
    """Sends the chunks of a tree.

    Args:
        repository: Where to.
        earlier: The index of an earlier backup, or None.
        known: Its chunks that need not go up again.
        progress: Told how far it is.
    """

    def __init__(
        self,
        repository: Repository,
        earlier: Index | None,
        known: dict[bytes, Chunk],
        progress: Progress,
    ) -> None:
        self._repository = repository
        self._earlier = earlier
        self._known = known
        self._progress = progress
        self._packs: list[Blob] = []
        self._chunks: list[Chunk] = []
        # Numbers of chunks by digest, and of this backup's packs by those of the earlier one.
        self._numbers: dict[bytes, int] = {}
        self._taken: dict[int, int] = {}
        self._order: list[int] = []
        self._pack = bytearray()
        self._number = -1
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, root: int) -> Index:
        """Send a tree; return the index.

        Args:
            root: Descriptor of its directory.

        Raises:
            DataLoss: Something cannot be read.
        """
        try:
            async with contextlib.aclosing(_cut(root, self._known)) as chunks:
                async for digest, size, data in chunks:
                    await self._take(digest, size, data)
            await self._send_pack()
            await self._wait(0)
        except BaseException:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            raise
        return Index(self._packs, self._chunks, self._order, self._progress.done)

    async def _take(self, digest: bytes, size: int, data: bytes) -> None:
        self._progress.done += size
        number = self._numbers.get(digest)
        if number is None:
            number = self._numbers[digest] = len(self._chunks)
            if data:
                self._chunks.append(await self._put(digest, size, data))
            else:
                self._chunks.append(self._reuse(self._known[digest]))
                self._progress.reused += size
        self._order.append(number)

    async def _put(self, digest: bytes, size: int, data: bytes) -> Chunk:
        if self._number < 0:
            self._number = len(self._packs)
            self._packs.append(Blob("", 0))
        chunk = Chunk(self._number, len(self._pack), len(data), size, digest)
        self._pack += data
        if len(self._pack) >= PACK_SIZE:
            await self._send_pack()
        return chunk

    def _reuse(self, chunk: Chunk) -> Chunk:
        assert self._earlier is not None
        if chunk.pack not in self._taken:
            self._taken[chunk.pack] = len(self._packs)
            self._packs.append(self._earlier.packs[chunk.pack])
        pack = self._taken[chunk.pack]
        return Chunk(pack, chunk.offset, chunk.length, chunk.size, chunk.digest)

    async def _send_pack(self) -> None:
        if self._number < 0:
            return
        content, number = bytes(self._pack), self._number
        self._pack.clear()
        self._number = -1
        await self._wait(_SENDING - 1)
        self._sending.add(asyncio.create_task(self._send(number, content)))

    async def _send(self, number: int, content: bytes) -> None:
        digest = await self._repository.put_blob(content)
        self._packs[number] = Blob(digest, len(content))
        self._progress.moved += len(content)

    async def _wait(self, left: int) -> None:
        """Wait until so many packs are on their way at most."""
        while len(self._sending) > left:
            done, self._sending = await asyncio.wait(
                self._sending, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()


async def _cut(
    root: int, known: dict[bytes, Chunk]
) -> AsyncGenerator[tuple[bytes, int, bytes], None]:
    """Give digest, plain length and compressed bytes of each chunk of a tree's tar; no bytes of known ones."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _WORKER, str(root), str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(root,),
        process_group=0,
        limit=1 << 20,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(b"".join(known))
            await process.stdin.drain()
        process.stdin.close()
        while True:
            try:
                head = await process.stdout.readexactly(HEAD.size)
                kind, digest, size, length = HEAD.unpack(head)
                if kind == END:
                    return
                yield digest, size, await process.stdout.readexactly(length)
            except asyncio.IncompleteReadError as error:
                raise await _unreadable(process) from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _unreadable(process: asyncio.subprocess.Process) -> DataLoss:
    assert process.stderr is not None
    said = (await process.stderr.read()).decode(errors="replace").strip()
    return DataLoss(
        f"the volume cannot be read: {said[-500:]}",
        what="volume",
        do="check the file system that holds the engine's root",
    )
