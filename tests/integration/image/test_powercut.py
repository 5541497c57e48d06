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
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import store_pb2
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.engine import as_root
from tests.support.imageservice import pull, store_of, stub_of
from tests.support.processes import wait_for
from tests.support.service import Service

pytestmark = as_root()
_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)
_NO_LOG_FLUSH = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH
_CUTS = 6


class Disk:
    """A file system in a file."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk"
        self.path = folder / "mounted"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)
        self.mount()

    def mount(self) -> None:
        options = (
            "loop,commit=1"  # seconds: some cuts come before the journal is written, some after
        )
        subprocess.run(["mount", "-o", options, self._image, self.path], check=True)

    def unmount(self) -> None:
        # The service's workers end with it, a moment later.
        wait_for(lambda: not subprocess.run(["umount", self.path]).returncode, "the end of use")

    def cut(self) -> None:
        """Stop, as without power."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NO_LOG_FLUSH)
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
                pulling = threading.Thread(target=_pull, args=(service, registry.reference))
                pulling.start()
                time.sleep(chance.uniform(0.05, 0.8))
                disk.cut()
                service.stop(9)
                pulling.join()
                disk.unmount()
                disk.mount()
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


def _pull(service: Service, reference: str) -> None:
    """Pull; that it fails when the disk stops is as it must be."""
    with contextlib.suppress(grpc.RpcError):
        list(stub_of(service).Pull(pb.PullRequest(reference=reference), timeout=20))


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
