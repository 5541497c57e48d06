"""The service's side of making layers of snapshots: a worker does it."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from scow.contract.errors import DataLoss, LimitExceeded
from scow.core import disk
from scow.image.content.blobs import Ingest
from scow.image.layers.diff.written import Written
from scow.image.workers.pool import UnpackPool


async def write_layer(
    pool: UnpackPool,
    changes: Path,
    ingest: Ingest,
    *,
    compress: bool = True,
    mount_points: Collection[bytes] = (),
    latest_ns: int | None = None,
) -> Written:
    """Write the layer of a snapshot's changes to an ingest.

    When the caller is cancelled, the worker ends.

    Args:
        pool: Who writes.
        changes: The upper directory.
        ingest: An empty one. Afterwards it may be committed.
        compress: With gzip; otherwise it gets the plain tar.
        mount_points: See `Changeset`.
        latest_ns: Later times of files become this one; None leaves them.

    Raises:
        DiskFull: No space is left.
        LimitExceeded: It has a path that no layer can have.
        DataLoss: The snapshot cannot be read.
    """
    try:
        root = os.open(changes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(str(error), changes) from error
    try:
        answer = await pool.diff(root, ingest.descriptor, compress, mount_points, latest_ns)
    finally:
        os.close(root)
    written = _result(answer, changes, ingest.path)
    ingest.claim(written.digest, written.size)
    return written


def _result(answer: dict[str, Any], changes: Path, file: Path) -> Written:
    if "errno" not in answer:
        return Written(**answer)
    if answer["errno"] in disk.FULL:
        raise disk.full(file.parent)
    if answer["errno"] == errno.ENAMETOOLONG:
        raise LimitExceeded(
            "a layer cannot have paths of more than 4,095 bytes, and the container has some",
            what="snapshot",
            which=str(changes),
            do="delete the directories that are so deep",
        )
    raise _unreadable(answer["message"], changes)


def _unreadable(why: str, changes: Path) -> DataLoss:
    return DataLoss(
        f"a snapshot cannot be read: {why}",
        what="snapshot",
        which=str(changes),
        do="check the file system that holds the engine's root",
    )
