import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.container.runtime.spawner import Spawner
from scow.contract.errors import (
    FailedPrecondition,
    NamespaceUnsupported,
    ScowError,
    ServiceUnavailable,
    ShimDied,
)


class Answerer:
    """Plays the spawner: answers each packet with the next of its answers; None closes without one."""

    def __init__(self, path: Path, *answers: Any) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._answers = list(answers)
        self.requests: list[Any] = []

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        for answer in self._answers:
            connection, _ = await loop.sock_accept(self._listener)
            with connection:
                self.requests.append(json.loads(await loop.sock_recv(connection, 65536)))
                if answer is not None:
                    await loop.sock_sendall(connection, json.dumps(answer).encode())

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spawner.sock"


@contextlib.contextmanager
def answering(path: Path, *answers: Any) -> Iterator[Answerer]:
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
    with answering(path, {"netns": "/proc/5/ns/net"}) as answerer:
        spawned = await spawner(path).spawn({"id": "x"})
    assert spawned.netns == "/proc/5/ns/net"
    spawned.close()
    assert answerer.requests == [{"id": "x"}]


async def test_reap(path: Path) -> None:
    record = {"code": 137, "signal": 9, "time_ns": 1, "oom_killed": False, "error": "died"}
    with answering(path, {"exit": record}) as answerer:
        assert await spawner(path).reap(Path("/s"), force=True) == record
    assert answerer.requests == [{"reap": {"state_dir": "/s", "force": True}}]


def error(code: str, reason: str) -> dict[str, Any]:
    return {
        "error": {"code": code, "reason": reason, "message": "no", "metadata": {"which": "user"}}
    }


@pytest.mark.parametrize(
    ("answer", "cls", "reason"),
    [
        (error("FAILED_PRECONDITION", "NAMESPACE_UNSUPPORTED"), NamespaceUnsupported, ""),
        (error("FAILED_PRECONDITION", "SHIM_RUNNING"), FailedPrecondition, "SHIM_RUNNING"),
        (error("SOMETHING_NEW", "X"), ScowError, "X"),
    ],
)
async def test_errors_keep_class_reason_and_metadata(
    path: Path, answer: Any, cls: type[ScowError], reason: str
) -> None:
    with answering(path, answer), pytest.raises(cls) as caught:
        await spawner(path).spawn({})
    assert type(caught.value) is cls
    assert caught.value.reason == (reason or cls.reason)
    assert caught.value.which == "user"


async def test_no_answer_means_that_nothing_may_be_assumed(path: Path) -> None:
    with answering(path, None), pytest.raises(ShimDied):
        await spawner(path).spawn({})


async def test_no_spawner_and_none_to_be_started(path: Path) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await spawner(path).ensure()
    assert caught.value.which == "spawner"
