"""The service's side of unpacking: worker processes, started when there is work and ended when there is none.

A job that is cancelled or fails takes its worker with it: nothing of it can linger.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scow.contract.errors import (
    Internal,
    InvalidArchive,
    KernelUnsupported,
    LayerCorrupt,
    LimitExceeded,
    ScowError,
)
from scow.core import disk
from scow.core.archive.read import faults

_MESSAGE_MAX = 1 << 16


class Source(Protocol):
    """A file that may still be growing while it is unpacked."""

    @property
    def descriptor(self) -> int:
        """The file, open for reading."""

    async def wait(self, position: int) -> tuple[int, bool]:
        """Wait for more than `position` bytes or the end.

        Returns:
            How many bytes there are, and whether that is all.
        """


@dataclass(frozen=True)
class Limits:
    """What a layer may hold at most."""

    max_bytes: int
    max_entries: int


@dataclass(frozen=True)
class Unpacked:
    """What a worker found out about a layer.

    Attributes:
        diff_id: "sha256:..." of the plain tar.
        tar_size: Bytes of the plain tar.
        size: Bytes of the files.
        inodes: Files, directories and so on.
        has_root: Whether the tar says what its root directory is like.
        compression: "gzip", "zstd", "xz", "bzip2" or "".
        skipped_xattrs: Names of xattrs that could not be set here.
    """

    diff_id: str
    tar_size: int
    size: int
    inodes: int
    has_root: bool
    compression: str
    skipped_xattrs: list[str]


class Worker:
    """One worker process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = ["-m", "scow.image.workers.unpack", str(theirs.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        ours.setblocking(False)
        self._socket = ours

    async def send(self, message: dict[str, Any]) -> None:
        """Answer the worker."""
        await asyncio.get_running_loop().sock_sendall(self._socket, json.dumps(message).encode())

    def start(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Send the first message of a job: the socket is empty, so this does not block."""
        socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)

    async def receive(self) -> dict[str, Any]:
        """Return the worker's next message.

        Raises:
            Internal: It ended without one.
        """
        data = await self._receive() or await self._receive()
        if not data:
            raise Internal(
                "the process that unpacks layers ended unexpectedly",
                what="process",
                which="scow.image.workers.unpack",
                do="try again; the service's log has more",
            )
        message: dict[str, Any] = json.loads(data)
        return message

    async def _receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, _MESSAGE_MAX)
        except ConnectionError:  # told before the last message of a worker that ended (unix(7))
            return b""

    async def end(self) -> None:
        """Kill and reap the process."""
        self._socket.close()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


class UnpackPool:
    """Worker processes.

    Args:
        workers: At most this many at once.
        idle_seconds: An idle worker ends after this time.
        limits: What a layer may hold.
    """

    def __init__(self, workers: int, idle_seconds: float, limits: Limits) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._idle: list[Worker] = []
        self._idle_seconds = idle_seconds
        self._limits = limits
        self._reaper: asyncio.Task[None] | None = None

    async def unpack(self, source: Source, destination: Path, *, slot: bool = True) -> Unpacked:
        """Unpack a layer into an empty directory.

        Args:
            source: The layer, compressed or not.
            destination: The directory. After an error it is in any state.
            slot: See `lend`.

        Raises:
            LayerCorrupt: The bytes are not a tar, or cut short.
            InvalidArchive: An entry reaches outside of the destination or means nothing.
            LimitExceeded, DiskFull, KernelUnsupported: See these classes.
        """
        return await self._run("unpack", source, destination, slot)

    async def index(self, source: Source, destination: Path, *, slot: bool = True) -> Unpacked:
        """Write the index of a layer into an empty directory, and the plain tar unless the source is one.

        Args:
            source: The layer, compressed or not.
            destination: The directory. After an error it is in any state.
            slot: See `lend`.

        Raises:
            LayerCorrupt, InvalidArchive, LimitExceeded, DiskFull: As for `unpack`, and of the same layers.
        """
        return await self._run("index", source, destination, slot)

    async def _run(self, operation: str, source: Source, destination: Path, slot: bool) -> Unpacked:
        job = {
            "op": operation,
            "destination": str(destination),
            "max_bytes": self._limits.max_bytes,
            "max_entries": self._limits.max_entries,
        }
        async with self.lend(slot=slot) as worker:
            worker.start(job, [source.descriptor])
            while "want" in (message := await worker.receive()):
                available, final = await source.wait(message["want"])
                with contextlib.suppress(ConnectionError):  # its last message tells why it ended
                    await worker.send({"available": available, "final": final})
            return Unpacked(**_result(message, destination))

    async def compare(self, kept: Path, fresh: Path, since_ns: int) -> list[str]:
        """Return how a folder differs from another one; see `compare.compare`."""
        job = {"op": "compare", "kept": str(kept), "fresh": str(fresh), "since_ns": since_ns}
        async with self.lend() as worker:
            worker.start(job, [])
            return list(_result(await worker.receive(), fresh)["differences"])

    async def diff(
        self,
        root: int,
        file: int,
        compress: bool,
        mount_points: Collection[bytes],
        latest_ns: int | None,
    ) -> dict[str, Any]:
        """Let a worker write the layer of an upper directory to a file; return its answer (`layers.diff`).

        Args:
            root: Descriptor of the directory.
            file: Of an empty file.
            compress: With gzip.
            mount_points: See `Changeset`.
            latest_ns: Later times of files become this one; None leaves them.
        """
        names = [os.fsdecode(path) for path in mount_points]
        job = {
            "op": "diff",
            "compress": compress,
            "mount_points": names,
            "latest_ns": latest_ns,
        }
        async with self.lend() as worker:
            worker.start(job, [root, file])
            message = await worker.receive()
            answer: dict[str, Any] = message["done"]
            return answer

    async def compress(
        self, source: int, file: int, kind: str, destination: Path
    ) -> tuple[str, int]:
        """Compress a file; return digest and size of the result.

        Args:
            source: Descriptor of the plain file.
            file: Of an empty file.
            kind: "gzip" or "zstd".
            destination: The empty file's path, for errors.

        Raises:
            DiskFull: No space is left.
        """
        async with self.lend() as worker:
            worker.start({"op": "compress", "kind": kind}, [source, file])
            done = _result(await worker.receive(), destination)
            return str(done["digest"]), int(done["size"])

    @contextlib.asynccontextmanager
    async def lend(self, *, slot: bool = True) -> AsyncIterator[Worker]:
        """Lend a worker; it is ended when the block fails.

        Args:
            slot: Wait until one of the slots is free. A job that waits for a client takes none: it may last.
        """
        async with self._slots if slot else contextlib.nullcontext():
            worker = self._idle.pop() if self._idle else Worker()
            try:
                yield worker
            except BaseException:
                await worker.end()
                raise
            self._idle.append(worker)
            self._end_later()

    def _end_later(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        self._reaper = asyncio.create_task(self._end_idle(self._idle_seconds))

    async def _end_idle(self, after: float) -> None:
        await asyncio.sleep(after)
        while self._idle:
            await asyncio.shield(self._idle.pop().end())

    async def close(self) -> None:
        """End all idle workers; jobs must have ended."""
        if self._reaper is not None:
            self._reaper.cancel()
        await self._end_idle(0)


def _result(message: dict[str, Any], destination: Path) -> dict[str, Any]:
    if "done" in message:
        done: dict[str, Any] = message["done"]
        return done
    fault = message["fault"]
    raise error_of(fault["kind"], fault["message"], fault["entry"], destination)


def error_of(kind: str, message: str, entry: str, destination: Path) -> ScowError:
    """Return the typed error of what a worker found wrong (`faults`)."""
    text = f"{message} (entry {entry!r})" if entry else message
    if kind == faults.DISK_FULL:
        return disk.full(destination.parent)
    if kind == faults.LIMIT:
        return LimitExceeded(
            text, what="layer", which=entry, do="raise image.max_layer_bytes or max_layer_entries"
        )
    if kind == faults.HOSTILE:
        return InvalidArchive(text, what="entry", which=entry, do="do not trust this archive")
    if kind == faults.REFUSED:
        return KernelUnsupported(
            text, what="entry", which=entry, do="check the file system that holds the engine's root"
        )
    return LayerCorrupt(text, what="layer", which=entry, do="get the layer again from its source")
