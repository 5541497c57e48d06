"""The spawner's client against what plays the spawner."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.shim.v1 import shim_pb2
from scow.api.shim.v1 import spawner_pb2 as pb
from scow.container.runtime.spawner import Spawner
from scow.contract.errors import (
    NamespaceUnsupported,
    ScowError,
    ServiceUnavailable,
    ShimDied,
    ShimRunning,
)
from scow.contract.shim_files import Exit


class Answerer:
    """Plays the spawner: answers each packet with the next of its answers; None closes without one."""

    def __init__(self, path: Path, *answers: pb.SpawnerAnswer | None) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._answers = list(answers)
        self.requests: list[pb.SpawnerRequest] = []

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        for answer in self._answers:
            connection, _ = await loop.sock_accept(self._listener)
            with connection:
                packet = await loop.sock_recv(connection, 65536)
                self.requests.append(pb.SpawnerRequest.FromString(packet))
                if answer is not None:
                    await loop.sock_sendall(connection, answer.SerializeToString())

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spawner.sock"


@contextlib.contextmanager
def answering(path: Path, *answers: pb.SpawnerAnswer | None) -> Iterator[Answerer]:
    answerer = Answerer(path, *answers)
    task = asyncio.get_running_loop().create_task(answerer.serve())
    try:
        yield answerer
    finally:
        task.cancel()
        answerer.close()


def spawner(path: Path) -> Spawner:
    return Spawner(path, path.parent / "cache", path.parent / "log", start=False)


async def test_a_request_and_its_answer(path: Path) -> None:
    with answering(path, pb.SpawnerAnswer(spawned=pb.Spawned(netns="/proc/5/ns/net"))) as answerer:
        spawned = await spawner(path).spawn(pb.Spawn(id="x"))
    assert spawned.netns == "/proc/5/ns/net"
    spawned.close()
    assert answerer.requests == [pb.SpawnerRequest(spawn=pb.Spawn(id="x"))]


async def test_reap(path: Path) -> None:
    record = shim_pb2.Exit(code=137, signal=9, error="died")
    record.time.FromNanoseconds(1)
    with answering(path, pb.SpawnerAnswer(reaped=record)) as answerer:
        assert await spawner(path).reap(Path("/s"), force=True) == Exit(137, 9, 1, False, "died")
    assert answerer.requests == [pb.SpawnerRequest(reap=pb.Reap(state_dir="/s", force=True))]


@pytest.mark.parametrize("error", [NamespaceUnsupported("no", which="user"), ShimRunning("no")])
async def test_errors_keep_class_and_metadata(path: Path, error: ScowError) -> None:
    answer = pb.SpawnerAnswer(error=error.to_status())
    with answering(path, answer), pytest.raises(ScowError) as caught:
        await spawner(path).spawn(pb.Spawn())
    assert type(caught.value) is type(error)
    assert caught.value.which == error.which


async def test_no_answer_means_that_nothing_may_be_assumed(path: Path) -> None:
    with answering(path, None), pytest.raises(ShimDied):
        await spawner(path).spawn(pb.Spawn())


async def test_no_spawner_and_none_to_be_started(path: Path) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await spawner(path).ensure()
    assert caught.value.which == "spawner"
