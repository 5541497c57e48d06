"""Saving: blobs as they are stream into an archive."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path

from scow.image.archives import tar_writer
from scow.image.archives.documents_written import docker_documents, oci_documents
from scow.image.archives.plain_layers import Made, PlainLayers
from scow.image.archives.plan import blob_name
from scow.image.archives.selection import Chosen, Selector
from scow.image.content.blobs import Blobs, lost
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import ImageStore
from scow.image.oci.platforms import Platform

# Of one message: each costs a third of a millisecond, whatever its size.
_CHUNK = 1 << 20


class Saver:
    """Saves images.

    Args:
        rows: The tables.
        blobs: What is saved.
        leases: What work under way needs.
        selector: Who knows what names stand for.
        plain: Who makes layers that Docker reads.
    """

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        leases: Leases,
        selector: Selector,
        plain: PlainLayers,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._selector = selector
        self._plain = plain

    async def save(
        self, names: Sequence[str], platform: Platform | None, *, docker: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield an archive of images: an OCI layout and, with `docker`, a Docker archive as well.

        Args:
            names: References, ids, digest references; a name without a tag means all its tags.
            platform: Only this platform's image of an index.
            docker: Make it a Docker archive too.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference, PlatformNotFound, ContentMissing: See these classes.
            LayerCorrupt: A blob's file is not what it was.
        """
        chosen = self._selector.select(names, platform)
        made = Made()
        async with self._blobs.working("save") as name:
            with self._leases.hold([*self._sizes(chosen, made)]):
                if docker:
                    chosen, made = await self._plain.of(chosen, name)
                top = {**oci_documents(chosen), **(docker_documents(chosen) if docker else {})}
                total = 0
                async for chunk in _gathered(self._pieces(top, self._sizes(chosen, made), made)):
                    total += len(chunk)
                    yield chunk
                yield tar_writer.end(total)

    def _sizes(self, chosen: Sequence[Chosen], made: Made) -> dict[str, int]:
        """Return all blobs and their sizes: what names others, configurations, layers."""
        documents = [document for one in chosen for document in reversed(one.documents)]
        digests = [document.digest for document in documents]
        digests += [document.parts[0].digest for document in documents if document.is_image]
        digests += [part.digest for document in documents for part in document.parts]
        sizes: dict[str, int] = {}
        for digest in dict.fromkeys(digests):
            if digest in made.documents:
                sizes[digest] = len(made.documents[digest])
            elif digest in made.layers:
                sizes[digest] = made.layers[digest][1]
            elif (size := self._rows.blob_size(digest)) is not None:
                sizes[digest] = size
        return sizes

    async def _pieces(
        self, top: dict[str, bytes], sizes: dict[str, int], made: Made
    ) -> AsyncIterator[bytes]:
        for piece in _small_files(top):
            yield piece
        for digest, size in sizes.items():
            yield tar_writer.file_header(blob_name(digest), size)
            if digest in made.documents:
                yield made.documents[digest]
            else:
                path = made.layers[digest][0] if digest in made.layers else self._blobs.path(digest)
                async for piece in _file(path, digest, size):
                    yield piece
            yield tar_writer.padding(size)


async def _file(path: Path, digest: str, size: int) -> AsyncIterator[bytes]:
    """Yield a file's bytes; the next are read while these are sent."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise lost(digest) from None
    position, reading = 0, None
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while position < size:
            reading = reading or _read(descriptor, position, size)
            piece = await reading
            if not piece:
                raise lost(digest)
            position += len(piece)
            reading = _read(descriptor, position, size) if position < size else None
            yield piece
    finally:
        if reading is not None:
            await asyncio.wait([reading])
        os.close(descriptor)


def _read(descriptor: int, position: int, size: int) -> asyncio.Future[bytes]:
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(None, os.pread, descriptor, min(_CHUNK, size - position), position)


def _small_files(documents: dict[str, bytes]) -> Iterator[bytes]:
    for name, data in documents.items():
        yield tar_writer.file_header(name, len(data))
        yield data
        yield tar_writer.padding(len(data))
    for folder in ("blobs", "blobs/sha256"):
        yield tar_writer.folder_header(folder)


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put small pieces together."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        if held and size + len(piece) > _CHUNK:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, size = [], 0
        held.append(piece)
        size += len(piece)
    if held:
        yield b"".join(held)
