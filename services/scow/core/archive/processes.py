"""Archives written and read by processes of their own, so that nobody waits for large trees and slow senders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

_PACK = "scow.core.archive.export"
_EXTRACT = "scow.core.archive.read.extract"
_CHUNK = 1 << 20


class UnreadableError(Exception):
    """A tree cannot be read; the text says why."""


@dataclass(frozen=True)
class Limits:
    """What an archive may have.

    Attributes:
        size: Bytes when decompressed.
        entries: How many.
        devices: Device nodes among them.
    """

    size: int
    entries: int
    devices: bool = False


async def packed(root: int, module: str = _PACK, *arguments: str) -> AsyncGenerator[bytes, None]:
    """Give the tar of a tree, piece by piece.

    Args:
        root: Descriptor of its directory; it may be closed once the first piece is there.
        module: What writes it.
        arguments: Its own, after the descriptor.

    Raises:
        UnreadableError: Something cannot be read.
    """
    process = await _start(module, root, *arguments)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        while piece := await process.stdout.read(_CHUNK):
            yield piece
        said = (await process.stderr.read()).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise UnreadableError(said)
    finally:
        await _end(process)


async def extracted(root: int, limits: Limits, chunks: AsyncIterator[bytes]) -> dict[str, Any]:
    """Write an archive's entries into an empty directory.

    Args:
        root: Descriptor of the directory.
        limits: What is taken.
        chunks: The archive, plain or compressed.

    Returns:
        "done" with facts, or "fault" with "kind", "message" and "entry" (`scow.core.archive.read.faults`).
    """
    mode = "devices" if limits.devices else "plain"
    bounds = (str(limits.size), str(limits.entries), "0", mode)
    process = await _start(
        _EXTRACT, root, str(os.getpid()), *bounds, source=asyncio.subprocess.PIPE
    )
    feeding = asyncio.create_task(_feed(process, chunks))
    try:
        assert process.stdout is not None
        answer = await process.stdout.read()
        if feeding.done() or not answer:
            await feeding  # who sends has failed: that the archive is cut short follows from it
        if not answer:
            raise RuntimeError(f"the reader of archives ended with {await process.wait()}")
        found: dict[str, Any] = json.loads(answer)
        return found
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
        await _end(process)


async def _start(
    module: str, root: int, *arguments: str, source: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, str(root), *arguments),
        stdin=source,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if source == asyncio.subprocess.DEVNULL else None,
        pass_fds=(root,),
        process_group=0,
        limit=_CHUNK,
    )


async def _feed(process: asyncio.subprocess.Process, chunks: AsyncIterator[bytes]) -> None:
    """Hand an archive over; a process that has seen enough takes no more."""
    assert process.stdin is not None
    try:
        async for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        process.stdin.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
