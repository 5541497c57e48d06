"""The service's side of telling what was changed in snapshots: a thread looks, a bounded number of changes ahead."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence

from scow.api.image.v1 import layer_pb2 as pb
from scow.api.types.v1.types_pb2 import FileChange
from scow.contract.errors import DataLoss
from scow.image.layers.diff.listing import ChangeList
from scow.image.layers.on_demand import LayersOnDemand
from scow.image.layers.store import Layers
from scow.image.metadata.tables import Layer
from scow.image.snapshots.owners import Snapshots
from scow.image.stacks.merged import Merged

_Message = pb.ListChangesResponse
# Bytes of a message, and how many may wait to be sent.
_BYTES = 1 << 18
_AHEAD = 2
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Changes:
    """Lists changes.

    Args:
        snapshots: Where they were made.
        layers: What snapshots lie on.
        unpacking: Who sees to it that layers are there.
    """

    def __init__(self, snapshots: Snapshots, layers: Layers, unpacking: LayersOnDemand) -> None:
        self._snapshots = snapshots
        self._layers = layers
        self._unpacking = unpacking

    async def list(self, owner: str) -> AsyncGenerator[_Message, None]:
        """Give what an owner changed.

        Raises:
            ImageNotFound: The owner has no snapshot.
            DataLoss, LayerCorrupt, ContentMissing: The snapshot, or what it lies on, cannot be read.
        """
        snapshot = self._snapshots.find(owner)
        rows = await self._unpacking.ensure(snapshot.image)
        upper = self._snapshots.changes(snapshot)
        try:
            root = os.open(upper, _ROOT)
        except OSError as error:
            raise _unreadable(owner, error) from error
        channel = _Channel()
        looking = asyncio.create_task(asyncio.to_thread(self._look, root, rows, channel))
        looking.add_done_callback(lambda _: channel.end())
        try:
            while (message := await channel.get()) is not None:
                yield message
            await looking
        except OSError as error:
            raise _unreadable(owner, error) from error
        finally:
            channel.close()

    def _look(self, root: int, rows: Sequence[Layer], channel: _Channel) -> None:
        """Run in a thread, which nobody can cancel: it ends with the message that nobody wants."""
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, root)
            files = []
            for row in rows:
                one = self._layers.files(row)
                opened.callback(one.close)
                files.append(one)
            batch = _Batch(channel)
            with contextlib.suppress(_Unwanted):
                ChangeList(batch.add, Merged(files)).pack(root)
                batch.send()


class _Unwanted(Exception):
    """Nobody wants more."""


class _Channel:
    """The way from the thread to the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[_Message | None] = asyncio.Queue(_AHEAD)
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    def put(self, message: _Message) -> None:
        """Called by the thread: wait until there is room.

        Raises:
            _Unwanted: Nobody wants it.
        """
        if self._closed:
            raise _Unwanted
        asyncio.run_coroutine_threadsafe(self._queue.put(message), self._loop).result()

    def end(self) -> None:
        """Called on the loop, once the thread has ended."""
        self._ending = self._loop.create_task(self._queue.put(None))

    def close(self) -> None:
        """Called on the loop: want no more, and let a thread go on that waits."""
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()

    async def get(self) -> _Message | None:
        """Return the next message, None at the end."""
        return await self._queue.get()


class _Batch:
    """Changes that are sent together."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._message, self._size = _Message(), 0

    def add(self, change: FileChange) -> None:
        """Take one more."""
        self._message.changes.append(change)
        self._size += len(change.path) + 8
        if self._size >= _BYTES:
            self.send()

    def send(self) -> None:
        """Send what there is."""
        if self._message.changes:
            self._channel.put(self._message)
            self._message, self._size = _Message(), 0


def _unreadable(owner: str, error: OSError) -> DataLoss:
    return DataLoss(
        f"the snapshot of {owner} cannot be read: {error}",
        what="snapshot",
        which=owner,
        do="check the file system that holds the engine's root",
    )
