"""The service's side of making layers of snapshots: a process for each."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
from pathlib import Path

from scow.contract.errors import DataLoss, Internal, LimitExceeded
from scow.core import disk
from scow.image.content.blobs import Ingest
from scow.image.layers.diff.written import Written

_WORKER = "scow.image.layers.diff.worker"


async def write_layer(changes: Path, ingest: Ingest) -> Written:
    """Write the layer of a snapshot's changes to an ingest.

    When the caller is cancelled, the process ends.

    Args:
        changes: The upper directory.
        ingest: An empty one. Afterwards it may be committed.

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
        numbers = (root, ingest.descriptor, os.getpid())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _WORKER, *map(str, numbers)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(root, ingest.descriptor),
            process_group=0,
        )
    finally:
        os.close(root)
    try:
        output, _ = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    written = _result(output, changes, ingest.path)
    ingest.claim(written.digest, written.size)
    return written


def _result(output: bytes, changes: Path, file: Path) -> Written:
    if not output:
        raise Internal(
            "the process that reads a snapshot ended unexpectedly",
            what="process",
            which=_WORKER,
            do="try again; the service's log has more",
        )
    answer = json.loads(output)
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
