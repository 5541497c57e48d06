"""A power cut in the middle of pulls: the file system stops at once, without what had not reached the disk.

A file system of the test's own lies in a file; EXT4_IOC_SHUTDOWN stops it as a power cut does, and mounting it again
replays what its journal has. The service that comes back opens its store, and all that it knows is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import store_pb2
from scow.core.store import Store
from scow.image.content.blobs import Blobs
from scow.image.content.sync import SharedSync
from scow.image.layers.drivers.overlay import Overlay
from scow.image.layers.store import Layers
from scow.image.metadata.tables import MIGRATIONS, ImageStore, Layer
from scow.image.workers.pool import Limits, UnpackPool
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.engine import as_root
from tests.support.imageservice import pull, store_of, stub_of
from tests.support.service import Service

pytestmark = as_root()
_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)
_NO_LOG_FLUSH = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH
_CUTS = 3


class Disk:
    """A file system in a file, mounted at `path`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image = folder / "disk0"
        self._mounts = 0
        self.path = folder / "mounted"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)
        self._mount()

    def _mount(self) -> None:
        options = (
            "loop,commit=1"  # seconds: some cuts come before the journal is written, some after
        )
        subprocess.run(["mount", "-o", options, self._image, self.path], check=True)

    def unmount(self) -> None:
        """Unmount, also while somebody holds it: mount namespaces made meanwhile by others have it too."""
        subprocess.run(["umount", "-l", self.path], check=True)

    def cut(self) -> None:
        """Stop, as without power. What of the database was not written yet is, as chance may have it."""
        for name in ("image.db", "image.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                _with(self.path / "root/image" / name, os.fsync)
        _with(self.path, lambda file: fcntl.ioctl(file, _SHUTDOWN, _NO_LOG_FLUSH))

    def power_on(self) -> None:
        """Mount what the disk has."""
        self.unmount()
        # A copy: the file system that was stopped may still be held, and would be given again.
        self._mounts += 1
        old, self._image = self._image, self._folder / f"disk{self._mounts}"
        subprocess.run(["cp", "--sparse=always", old, self._image], check=True)
        old.unlink()
        self._mount()


def _with(path: Path, act: Callable[[int], object]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        act(descriptor)
    finally:
        os.close(descriptor)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.unmount()


def _files(seed: int) -> dict[str, bytes]:
    chance = random.Random(seed)
    return {f"f{n}": chance.randbytes(chance.randrange(1, 40_000)) for n in range(60)}


def test_power_cuts(disk: Disk) -> None:
    service = Service("image")
    service.root = disk.path / "root"
    service.data = service.root / "image"
    chance = random.Random(7)
    try:
        service.start()
        known = 0
        for cut in range(_CUTS):
            with BadRegistry([layer_tar(_files(cut * 10 + n)) for n in range(4)]) as registry:
                reached = threading.Event()
                pulling = threading.Thread(
                    target=_pull, args=(service, registry.reference, cut, reached)
                )
                pulling.start()
                assert reached.wait(60)
                time.sleep(chance.uniform(0, 0.05))
                disk.cut()
                service.stop(9)
                pulling.join()
                disk.power_on()
                service.start()
                _sound(service)
                pull(service, registry.reference)
                known += 1
            _sound(service)
            assert len(stub_of(service).List(pb.ListRequest()).images) <= known
    finally:
        service.channel.close()
        service.stop()
        shutil.rmtree(service.base)


async def test_a_row_comes_after_its_layer(disk: Disk, tmp_path: Path) -> None:
    """The disk stops at the very moment at which a layer is recorded: all of the layer is there."""
    files = _files(1)
    rows = ImageStore(Store.open(tmp_path / "elsewhere" / "image.db", MIGRATIONS))
    pool = UnpackPool(1, 1.0, Limits(1 << 30, 1000))
    blobs = Blobs(disk.path)
    layers = Layers(disk.path, rows, blobs, {"overlay": Overlay(pool, SharedSync(disk.path))})
    recorded: list[Layer] = []

    def cut(tx: object, layer: Layer) -> None:
        recorded.append(layer)
        disk.cut()
        raise InterruptedError

    rows.insert_layer = cut  # type: ignore[method-assign]
    ingest = blobs.ingest("0" * 64)
    ingest.write(layer_tar(files))
    ingest.finish()
    number, unpacked = await layers.unpack(ingest)
    with contextlib.suppress(OSError):  # cleaning up does not work on a disk that has stopped
        await layers.keep(number, unpacked, ingest)
    await pool.close()
    disk.power_on()
    folder = disk.path / "layers" / str(recorded[0].number)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    blob = disk.path / "blobs/sha256" / recorded[0].blob.removeprefix("sha256:")
    assert blob.read_bytes() == layer_tar(files)


def _pull(service: Service, reference: str, layers: int, reached: threading.Event) -> None:
    """Pull, and tell when so many layers are there; that it fails when the disk stops is as it must be."""
    done = set()
    with contextlib.suppress(grpc.RpcError):
        for message in stub_of(service).Pull(pb.PullRequest(reference=reference), timeout=20):
            if message.layer.phase == pb.LayerProgress.PHASE_DONE:
                done.add(message.layer.digest)
            if len(done) >= layers:
                reached.set()
    reached.set()


def _sound(service: Service) -> None:
    findings = [
        message.finding
        for message in store_of(service).Check(store_pb2.CheckRequest())
        if message.HasField("finding")
    ]
    assert findings == [], f"{findings}\n{service.log.read_text()[-3000:]}"
    for image in stub_of(service).List(pb.ListRequest()).images:
        stub_of(service).Prepare(pb.PrepareRequest(image=image.id, owner="container/1"))
        stub_of(service).Release(pb.ReleaseRequest(owner="container/1"))
