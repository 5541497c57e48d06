"""Archives stream: the service's memory does not grow with them, and other calls are answered meanwhile."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator

from scow.api.image.v1 import archive_pb2 as archive_pb
from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.archive_pb2_grpc import ArchiveServiceStub
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from tests.support.archives import load
from tests.support.engine import as_root
from tests.support.memory import Memory
from tests.support.service import Service

pytestmark = as_root()
SIZE = 300 << 20
# What a queue of messages of 1 MiB on each side of the wire may take.
GROWTH = 64 << 20


def header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def layer() -> Iterator[bytes]:
    yield header("large", SIZE)
    piece = bytes(1 << 20)
    for _ in range(SIZE >> 20):
        yield piece
    yield bytes(1024)


def archive() -> Iterator[bytes]:
    """A Docker archive whose one layer is large; `manifest.json` comes last."""
    digest, size = hashlib.sha256(), 0
    for piece in layer():
        digest.update(piece)
        size += len(piece)
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]}
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).encode()
    entry = {"Config": "c.json", "RepoTags": ["large:1"], "Layers": ["l/layer.tar"]}
    yield header("l/layer.tar", size)
    yield from layer()
    for name, data in (("c.json", config), ("manifest.json", json.dumps([entry]).encode())):
        yield header(name, len(data)) + data + bytes(-len(data) % 512)
    yield bytes(1024)


def test_a_large_archive() -> None:
    with Service("image") as own:
        stub = ImageServiceStub(own.channel)
        stub.List(pb.ListRequest())
        memory = Memory(own.pid)
        answered = threading.Event()
        ended = threading.Event()

        def ask_others() -> None:
            while not ended.is_set():
                stub.List(pb.ListRequest(), timeout=10)
                answered.set()

        asking = threading.Thread(target=ask_others)
        asking.start()
        try:
            [image] = load(own, archive())
        finally:
            ended.set()
            asking.join()
        assert answered.is_set()
        assert memory.growth() < GROWTH
        memory = Memory(own.pid)
        request = archive_pb.SaveRequest(images=[image.id])
        saved = sum(len(r.chunk) for r in ArchiveServiceStub(own.channel).Save(request))
        assert saved > SIZE
        assert memory.growth() < GROWTH
