"""A cache in a folder of the client: an OCI image layout, of which the client sends the files that are asked for."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.cache import exchange
from scow.build.context.session import Session
from scow.contract import strict_json
from scow.contract.errors import DigestMismatch, InvalidArchive, LimitExceeded
from scow.core.archive.read.faults import Fault
from scow.core.archive.read.streams import Feed, plain
from scow.core.tasks import completed
from scow.words.build_cache import CacheOption

# Bytes of an index, a manifest or a configuration.
_DOCUMENT_MAX = 8 << 20
_LAYER_MAX = 64 << 30
_REF_NAME = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ClientFolder:
    """A folder.

    Args:
        session: The conversation with the client.
        number: Of the cache in `cache_from`.
        scratch: Where layers are kept while they are unpacked.
    """

    def __init__(self, session: Session, number: int, scratch: str) -> None:
        self._session = session
        self._number = number
        self._scratch = scratch

    async def image(self, option: CacheOption) -> tuple[list[Layer], bytes]:
        """Return the layers of the cache's image, and its configuration.

        Raises:
            ValueError: It is no image layout, or has no such image.
            DigestMismatch, LimitExceeded, InvalidContext: A file is not what it should be, or cannot be read.
        """
        wanted = option.attributes.get("digest") or _chosen(
            _object(await self._document("index.json")), option.tag
        )
        manifest = _object(await self._blob(wanted))
        configuration = await self._blob(_digest(manifest.get("config")))
        diff_ids, _ = exchange.read(configuration)
        parts = manifest.get("layers")
        if not isinstance(parts, list) or len(parts) != len(diff_ids):
            raise ValueError("its manifest has other layers than its configuration")
        layers = [
            Layer(diff_id=diff_id, digest=_digest(part), media_type=str(part.get("mediaType", "")))
            for diff_id, part in zip(diff_ids, parts, strict=True)
        ]
        return layers, configuration

    async def plain(self, layer: Layer) -> AsyncIterator[bytes]:
        """Give a layer's tar.

        Raises:
            DigestMismatch, LimitExceeded, InvalidArchive: It is not what it should be.
            InvalidContext: The client cannot read it.
        """
        descriptor = os.open(self._scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w+b") as file:
            await self._receive(f"blobs/{layer.digest.replace(':', '/')}", file, _LAYER_MAX)
            file.seek(0)
            # A thread ends before the file is closed that it reads, also where this is cancelled.
            await completed(asyncio.to_thread(_check, file, layer.digest))
            file.flush()
            size = os.fstat(descriptor).st_size
            pieces = plain(Feed(descriptor, lambda _: (size, True)))[1]
            try:
                while piece := await completed(asyncio.to_thread(next, pieces, b"")):
                    yield piece
            except Fault as fault:
                raise InvalidArchive(
                    f"the layer {layer.digest} cannot be read: {fault}",
                    what="layer",
                    which=layer.digest,
                    do="make the cache again",
                ) from None

    async def _blob(self, digest: str) -> bytes:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest[:80]!r} is not a digest")
        data = await self._document(f"blobs/{digest.replace(':', '/')}")
        _check(io.BytesIO(data), digest)
        return data

    async def _document(self, path: str) -> bytes:
        file = io.BytesIO()
        await self._receive(path, file, _DOCUMENT_MAX)
        return file.getvalue()

    async def _receive(self, path: str, file: BinaryIO, most: int) -> None:
        """Write a file of the client's down."""
        key = f"cache/{self._number}/{path}"
        size = 0
        async with self._session.turn(key):
            want = pb.BuildResponse.WantCacheFile(cache=self._number, path=path)
            await self._session.send(pb.BuildResponse(want_cache_file=want))
            while True:
                answer = (await self._session.receive(key)).cache_file
                size += len(answer.chunk)
                if size > most:
                    raise LimitExceeded(
                        f"{path} has more than {most} bytes",
                        what="file",
                        which=path,
                        do="make the cache again",
                    )
                file.write(answer.chunk)
                if answer.last:
                    return


def _check(file: io.BytesIO | io.BufferedRandom, digest: str) -> None:
    hashed = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{hashed}" != digest:
        raise DigestMismatch(
            f"the file of {digest} has other bytes",
            what="blob",
            which=digest,
            do="make the cache again",
        )


def _object(data: bytes) -> dict[str, Any]:
    value = strict_json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("a document is not what it should be")
    return value


def _digest(descriptor: object) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError("a document names something without a digest")
    return digest


def _chosen(index: dict[str, Any], tag: str) -> str:
    """Return the digest of the manifest with a tag; where nothing has one, that of the last."""
    manifests = index.get("manifests")
    entries = [e for e in manifests if isinstance(e, dict)] if isinstance(manifests, list) else []
    tags = [_tag(entry) for entry in entries]
    if tag in tags:
        return _digest(entries[tags.index(tag)])
    if not entries or any(tags):
        raise ValueError(f"it has no cache with the tag {tag}")
    return _digest(entries[-1])


def _tag(entry: dict[str, Any]) -> object:
    annotations = entry.get("annotations")
    return annotations.get(_REF_NAME) if isinstance(annotations, dict) else None
