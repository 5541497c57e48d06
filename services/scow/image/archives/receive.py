"""Receiving an archive: a worker splits it into ingests while it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from scow.contract.errors import InvalidArchive, LimitExceeded, ScowError
from scow.core.archive.read import faults
from scow.core.config import ImageSection
from scow.image.archives.archive import Archive, File
from scow.image.archives.pipes import PipeWriter
from scow.image.content.blobs import Blobs
from scow.image.workers.pool import UnpackPool, Worker, error_of

# Name of a large file, bytes so far, bytes in all.
Passing = Callable[[str, int, int], None]


class Receiver:
    """Receives archives.

    Args:
        settings: The service's section of the configuration.
        blobs: Where ingests are.
        pool: Who splits.
    """

    def __init__(self, settings: ImageSection, blobs: Blobs, pool: UnpackPool) -> None:
        self._settings = settings
        self._blobs = blobs
        self._pool = pool

    async def receive(
        self, archive: Archive, name: str, chunks: AsyncIterator[bytes], passing: Passing
    ) -> None:
        """Receive an archive, plain or compressed.

        Args:
            archive: Gets its files, also when receiving fails in the middle.
            name: Of the ingests: `<name>.<number>`.
            chunks: Its bytes.
            passing: Told how far a large file is.

        Raises:
            InvalidArchive: It is not a tar, is cut short, or has an entry that leads out of it.
            LimitExceeded, DiskFull: See these classes.
        """
        pipe = PipeWriter()
        try:
            async with self._pool.lend(slot=False) as worker:
                worker.start(self._job(name), [pipe.reader])
                pipe.passed()
                feeding = asyncio.create_task(pipe.feed(chunks))
                try:
                    await self._follow(worker, archive, name, passing)
                    await feeding
                except ScowError:
                    if feeding.done():
                        feeding.result()  # who sends has failed: an archive that is cut short follows from it
                    raise
                finally:
                    feeding.cancel()
                    await asyncio.wait([feeding])
        finally:
            pipe.close()

    def _job(self, name: str) -> dict[str, Any]:
        return {
            "op": "split",
            "prefix": str(self._blobs.ingest_path(name)),
            "max_bytes": self._settings.max_archive_bytes,
            "max_entries": self._settings.max_archive_entries,
            "max_file_bytes": self._settings.max_layer_bytes,
        }

    async def _follow(self, worker: Worker, archive: Archive, name: str, passing: Passing) -> None:
        while "done" not in (message := await worker.receive()):
            if "fault" in message:
                raise self._error(**message["fault"])
            if "passing" in message:
                passing(message["passing"], message["current"], message["size"])
            elif "link" in message:
                archive.link(message["link"], message["target"])
            else:
                path = self._blobs.ingest_path(f"{name}.{message['number']}")
                file = File(path, message["size"], message["digest"])
                archive.add(message["file"], file)

    def _error(self, kind: str, message: str, entry: str) -> ScowError:
        # What reads tars speaks of layers.
        text = message.replace("the layer", "the archive")
        text = f"{text} (entry {entry!r})" if entry else text
        if kind in (faults.DISK_FULL, faults.REFUSED):
            return error_of(kind, text, entry, self._blobs.ingest_path("x"))
        if kind == faults.LIMIT:
            do = "raise image.max_archive_bytes, max_archive_entries or max_layer_bytes"
            return LimitExceeded(text, what="archive", which=entry, do=do)
        do = "do not trust this archive" if kind == faults.HOSTILE else "make the archive again"
        return InvalidArchive(text, what="archive", which=entry, do=do)
