"""Whether an index is whole, and what its root directory looks like."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from scow.image.layers.erofs import ondisk
from scow.image.layers.erofs.ondisk import BLOCK_BITS

_READ = 1 << 20


class Damaged(Exception):
    """An index is not what was written."""


@dataclass(frozen=True)
class Facts:
    """What an index says about itself.

    Attributes:
        size: Bytes of the index.
        metadata: Bytes that `digest` covers, with the unused first ones: all but copies of sparse files' data.
        tar_blocks: Of the tar, 512 bytes each.
        digest: SHA-256 of the metadata.
        mode, uid, gid: Of the root directory.
    """

    size: int
    metadata: int
    tar_blocks: int
    digest: bytes
    mode: int
    uid: int
    gid: int


def read(path: Path) -> Facts:
    """Read the head of an index.

    Raises:
        Damaged: It has none, or is cut short.
        FileNotFoundError: There is none.
    """
    with path.open("rb") as file:
        head = file.read(ondisk.INODES_OFFSET + ondisk.INODE.size)
        size = os.fstat(file.fileno()).st_size
    if len(head) < ondisk.INODES_OFFSET + ondisk.INODE.size:
        raise Damaged(f"{path} is cut short")
    words, metadata, digest = ondisk.HEAD.unpack_from(head)
    fields = ondisk.SUPER.unpack_from(head, ondisk.SUPER_OFFSET)
    root = ondisk.INODE.unpack_from(head, ondisk.INODES_OFFSET)
    if words.rstrip(b"\0") != ondisk.HEAD_WORDS or fields[0] != ondisk.MAGIC:
        raise Damaged(f"{path} is not an index")
    facts = Facts(
        size=fields[9] << BLOCK_BITS,
        metadata=metadata << BLOCK_BITS,
        tar_blocks=ondisk.DEVICE.unpack_from(head, ondisk.DEVICE_OFFSET)[1],
        digest=digest,
        mode=root[2],
        uid=root[7],
        gid=root[8],
    )
    if facts.size != size or facts.metadata > size:
        raise Damaged(f"{path} has {size} bytes instead of {facts.size}")
    return facts


def verify(path: Path) -> None:
    """Compare all metadata with what they hash to.

    Raises:
        Damaged: They have changed.
        FileNotFoundError: There is no index.
    """
    facts = read(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(ondisk.SUPER_OFFSET)
        left = facts.metadata - ondisk.SUPER_OFFSET
        while left and (data := file.read(min(_READ, left))):
            digest.update(data)
            left -= len(data)
    if digest.digest() != facts.digest:
        raise Damaged(f"{path} has changed")
