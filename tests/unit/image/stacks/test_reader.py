"""Reading stacks for callers that go away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scow.api.image.v1 import layer_pb2 as pb
from scow.image.content.digests import digest_of
from scow.image.layers.unpack.files import UnpackedFiles
from scow.image.metadata.tables import Layer
from scow.image.stacks.layer import Inode
from scow.image.stacks.reader import StackReader

DIGEST = digest_of(b"layer")
STACK = [pb.Layer(diff_id=DIGEST, digest=DIGEST)]


class SlowFiles(UnpackedFiles):
    """The files of a folder, of which the first one is found late.

    Attributes:
        began: Somebody looks for a file.
        go_on: It may be found.
        log: What happened.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.log: list[str] = []

    def child(self, directory: Inode, name: bytes) -> Inode | None:
        self.began.set()
        assert self.go_on.wait(60)
        found = super().child(directory, name)
        self.log.append("found")
        return found

    def close(self) -> None:
        self.log.append("closed")
        super().close()


class OneLayer:
    """Stands for the store of layers and for who sees to it that they are there."""

    def __init__(self, files: SlowFiles) -> None:
        self._files = files

    async def ensure_all(self, wanted: Mapping[str, str]) -> list[Layer]:
        return [Layer(DIGEST, 1, "overlay", DIGEST, 1, 1, 1)]

    def files(self, layer: Layer) -> SlowFiles:
        return self._files


async def look_up(reader: StackReader) -> object:
    return await reader.look_up(pb.LookUpRequest(layers=STACK, paths=[b"/file"]))


async def read(reader: StackReader) -> object:
    request = pb.ReadTreeRequest(layers=STACK, path=b"/file")
    return [message async for message in reader.read(request)]


@pytest.mark.parametrize("call", [look_up, read])
def test_a_layer_is_closed_when_nobody_reads_it_any_more(
    tmp_path: Path, call: Callable[[StackReader], Awaitable[Any]]
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    files = SlowFiles(tmp_path)

    async def cancelled() -> None:
        layers: Any = OneLayer(files)
        task = asyncio.ensure_future(call(StackReader(layers, layers)))
        await asyncio.to_thread(files.began.wait)
        task.cancel()
        await asyncio.sleep(0)
        files.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert files.log[-1] == "closed"

    asyncio.run(cancelled())
    assert files.log == ["found", "closed"]
