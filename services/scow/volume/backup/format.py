"""What a backup is at a registry.

The tar of a volume is cut into chunks where its content says, so that a change moves few of the cuts. Each chunk is
compressed, and several are put into a pack, a blob. The index, a blob as well, has the chunks in the order of the tar.

::

    manifest   config: {"volume", "snapshot", "created", "size"}    layers: index, pack, pack, ...
               annotations: the volume's name as title, and when it was made
    or, where a manifest would name too many: an image index of such manifests; the first one has the index

    index      zstd of: a JSON object in one line, a table of chunks, a table of the order
        object {"version": 1, "chunks": n, "order": m, "size": bytes of the tar, "packs": [[digest, size], ...]}
        chunk  u32 pack, u32 offset, u32 length, u32 length of the plain bytes, 32 bytes SHA-256 of them
        order  u32 number of a chunk

Numbers are little endian. All that is read is a stranger's: it is checked before it is believed.
"""

from __future__ import annotations

import calendar
import json
import re
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scow.contract import strict_json
from scow.contract.errors import InvalidBackup, LimitExceeded

CONFIG = "application/vnd.scow.volume.backup.v1+json"
INDEX = "application/vnd.scow.volume.backup.index.v1+zstd"
PACK = "application/vnd.scow.volume.backup.pack.v1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFESTS = "application/vnd.oci.image.index.v1+json"

# Annotations: the name of the volume, and when the backup was made.
TITLE, CREATED = "org.opencontainers.image.title", "org.opencontainers.image.created"
_SECONDS = "%Y-%m-%dT%H:%M:%S"
_MADE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d)(?:\.(\d{1,6}))?Z", re.ASCII)

# Bytes of chunks before they are compressed: at least, on average, at most.
CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX = 256 << 10, 1 << 20, 4 << 20
PACK_SIZE = 16 << 20
# Bytes of one blob; of an index before it is compressed, whose digests alone would fill a blob; and of its first line.
BLOB_MAX = 32 << 20
_INDEX_MAX = 48 << 20
_HEAD_MAX = 4 << 20
# Layers of one manifest, which registries bound. Of manifests there are less than 500: what an index may have in its
# first line names no more packs than for that.
PARTS_MAX = 100
# What the process that cuts writes before each chunk, and in the end (`scow.volume.backup.chunks`).
HEAD = struct.Struct("<c32sII")
CHUNK, END = b"C", b"E"
DIGEST_SIZE = 32
_VERSION = 1
_CHUNK = struct.Struct("<IIII32s")
_ORDER = struct.Struct("<I")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a chunk is.

    Attributes:
        pack: Number of its pack.
        offset: In the pack.
        length: Compressed.
        size: Plain.
        digest: SHA-256 of the plain bytes.
    """

    pack: int
    offset: int
    length: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob at a registry."""

    digest: str
    size: int


@dataclass(frozen=True)
class Index:
    """All of a backup but its bytes.

    Attributes:
        packs: By number.
        chunks: By number, each once.
        order: Numbers of chunks as they follow each other.
        size: Bytes of the tar.
    """

    packs: Sequence[Blob]
    chunks: Sequence[Chunk]
    order: Sequence[int]
    size: int

    def to_bytes(self) -> bytes:
        """Return it as it is stored.

        Raises:
            LimitExceeded: It would be larger than what is read again.
        """
        import zstandard  # few services ever make a backup: it takes memory

        head = {
            "version": _VERSION,
            "chunks": len(self.chunks),
            "order": len(self.order),
            "size": self.size,
            "packs": [[pack.digest, pack.size] for pack in self.packs],
        }
        first = json.dumps(head).encode() + b"\n"
        parts = [_CHUNK.pack(c.pack, c.offset, c.length, c.size, c.digest) for c in self.chunks]
        plain = b"".join([first, *parts, *map(_ORDER.pack, self.order)])
        stored = zstandard.ZstdCompressor(level=9).compress(plain)
        if len(first) > _HEAD_MAX or len(plain) > _INDEX_MAX or len(stored) > BLOB_MAX:
            raise LimitExceeded(
                "the volume has too many chunks for one backup",
                what="volume",
                do="back up its parts as volumes of their own",
            )
        return stored

    @classmethod
    def of_bytes(cls, data: bytes) -> Index:
        """Read and check it.

        Raises:
            InvalidBackup: It is not one, or contradicts itself.
        """
        try:
            head, _, tables = decompressed(data, _INDEX_MAX).partition(b"\n")
            if len(head) > _HEAD_MAX:
                raise ValueError(f"its first line has more than {_HEAD_MAX} bytes")
            about = json.loads(head)
            count, order = int(about["chunks"]), int(about["order"])
            packs = [Blob(str(digest), int(size)) for digest, size in about["packs"]]
            size, version = int(about["size"]), about["version"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise invalid(f"its index cannot be read: {error!s:.200}") from error
        middle = count * _CHUNK.size
        if version != _VERSION or min(count, order, size) < 0:
            raise invalid(f"its index is of version {version!r:.20}")
        if len(tables) != middle + order * _ORDER.size:
            raise invalid("its index is cut short")
        chunks = [Chunk(*fields) for fields in _CHUNK.iter_unpack(tables[:middle])]
        found = cls(packs, chunks, [n for (n,) in _ORDER.iter_unpack(tables[middle:])], size)
        found._check()
        return found

    def _check(self) -> None:
        if not all(_DIGEST.fullmatch(p.digest) and 0 <= p.size <= BLOB_MAX for p in self.packs):
            raise invalid("its index names a pack that is none")
        for chunk in self.chunks:
            whole = chunk.pack < len(self.packs) and chunk.size <= CHUNK_MAX
            if not whole or chunk.offset + chunk.length > self.packs[chunk.pack].size:
                raise invalid("its index names a chunk that is in no pack")
        if any(number >= len(self.chunks) for number in self.order):
            raise invalid("its index names a chunk that is not there")
        if sum(self.chunks[number].size for number in self.order) != self.size:
            raise invalid("its index contradicts its size")


def decompressed(data: bytes, limit: int) -> bytes:
    """Return what a zstd frame of a stranger has.

    The size that a frame states is allocated before anything is decompressed, whatever `max_output_size` says.

    Raises:
        ValueError: It has more bytes than the limit, or is not one.
    """
    import zstandard

    try:
        if zstandard.frame_content_size(data) > limit:
            raise ValueError(f"it has more than {limit} bytes")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be decompressed, or has more than {limit} bytes") from error


def manifest(config: Blob, parts: Sequence[tuple[Blob, str]], annotations: dict[str, str]) -> bytes:
    """Return a manifest of parts with their media types."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": CONFIG,
            "config": _descriptor(config, CONFIG),
            "layers": [_descriptor(blob, kind) for blob, kind in parts],
            "annotations": annotations,
        }
    )


def manifests(parts: Sequence[Blob], annotations: dict[str, str]) -> bytes:
    """Return an image index of manifests."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFESTS,
            "artifactType": CONFIG,
            "manifests": [_descriptor(blob, MANIFEST) for blob in parts],
            "annotations": annotations,
        }
    )


def first_manifest(content: bytes) -> str:
    """Return the digest of the manifest that has the index, where a document names manifests; empty where it is one.

    Raises:
        InvalidBackup: It is not of a backup.
    """
    value = _read(content)
    if "manifests" not in value:
        return ""
    if value.get("artifactType") != CONFIG:
        raise invalid("it is an index of images")
    return _blob(value["manifests"], MANIFEST).digest


def now() -> str:
    """Return the time as backups have it (RFC 3339)."""
    seconds, fraction = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{time.strftime(_SECONDS, time.gmtime(seconds))}.{fraction:06}Z"


@dataclass(frozen=True)
class About:
    """What a manifest, or an index of manifests, says of a backup.

    Attributes:
        volume: Name of the volume that it is of.
        created: Microseconds since 1970.
        parts: Digests of the manifests that an index names.
    """

    volume: str
    created: int
    parts: frozenset[str]


def about(content: bytes) -> About:
    """Return what a document says of a backup.

    Raises:
        InvalidBackup: It is not of one.
    """
    value = _read(content)
    if value.get("artifactType") != CONFIG:
        raise invalid("it is an image, or another artifact")
    notes, parts = value.get("annotations"), value.get("manifests", [])
    if not isinstance(notes, dict) or not isinstance(parts, list):
        raise invalid("its manifest says nothing of it")
    digests = [str(part.get("digest")) for part in parts if isinstance(part, dict)]
    made = _MADE.fullmatch(str(notes.get(CREATED)))
    if not made:
        raise invalid("its manifest does not say when it was made")
    try:
        seconds = calendar.timegm(time.strptime(made[1], _SECONDS))
    except ValueError as error:
        raise invalid("its manifest does not say when it was made") from error
    created = seconds * 1_000_000 + int((made[2] or "0").ljust(6, "0"))
    if not all(map(_DIGEST.fullmatch, digests)):
        raise invalid("its manifest names one that is none")
    return About(str(notes.get(TITLE, "")), created, frozenset(digests))


def index_blob(content: bytes) -> Blob:
    """Return the index that a manifest names.

    Raises:
        InvalidBackup: It is not the manifest of a backup.
    """
    value = _read(content)
    config = value.get("config")
    if not isinstance(config, dict) or config.get("mediaType") != CONFIG:
        raise invalid("it is an image, or another artifact")
    return _blob(value.get("layers"), INDEX)


def _blob(parts: Any, kind: str) -> Blob:
    """Return the first part, which must be of a kind."""
    first = parts[0] if isinstance(parts, list) and parts else None
    if not isinstance(first, dict) or first.get("mediaType") != kind:
        raise invalid("its manifest names no index")
    digest, size = first.get("digest"), first.get("size")
    if not isinstance(digest, str) or not isinstance(size, int):
        raise invalid("its manifest names an index that is none")
    if not _DIGEST.fullmatch(digest) or not 0 <= size <= BLOB_MAX:
        raise invalid("its manifest names an index that is none")
    return Blob(digest, size)


def _read(content: bytes) -> dict[str, Any]:
    try:
        value = strict_json.loads(content)
    except ValueError as error:
        raise invalid("its manifest is not JSON") from error
    if not isinstance(value, dict):
        raise invalid("its manifest is not an object")
    return value


def _descriptor(blob: Blob, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": blob.digest, "size": blob.size}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def invalid(fault: str) -> InvalidBackup:
    """Return the error of what is not a backup."""
    return InvalidBackup(
        f"the reference names no backup of a volume: {fault}",
        what="backup",
        do="give the reference of a backup, or one that names nothing yet",
    )
