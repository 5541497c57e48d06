"""Sending records of a container that ends and is started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs.records import Logs
from scow.container.logs.sender import Senders
from scow.container.model.containers import Entry
from scow.container.model.paths import Paths
from scow.contract.log_compact import CompactEncoder
from scow.core.config import Config
from scow.core.tasks import Background
from tests.support.logservers import Datagrams


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def logging(path: Path, server: Path) -> Entry:
    options = {"syslog-address": f"unixgram://{server}"}
    return Entry(
        pb.Container(
            id="a" * 64,
            status=pb.STATUS_EXITED,
            log_path=str(path),
            config=pb.ContainerConfig(log=pb.LogConfig(driver="syslog", options=options)),
        )
    )


def write(path: Path, run: int, text: bytes) -> None:
    encoder = CompactEncoder(run=run)
    with path.open("ab") as file:
        file.write(encoder.placed(encoder.encode("stdout", text), 0))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(Config(root=tmp_path / "root", run=tmp_path / "run"))


async def test_what_a_second_run_writes_is_sent_when_the_first_waited_for_the_server(
    tmp_path: Path, paths: Paths
) -> None:
    path, server = paths.log("a" * 64, "compact"), tmp_path / "server"
    path.parent.mkdir(parents=True)
    entry = logging(path, server)
    write(path, 1, b"one\n")
    background = Background()
    with contextlib.closing(Logs()) as logs:
        senders = Senders(Config().container, paths, logs, background)
        senders.follow(entry)
        await eventually(lambda: senders.state(entry).error != "")
        entry.described.status = pb.STATUS_RUNNING
        senders.follow(entry)
        with Datagrams(server) as taker:
            await eventually(paths.sent(entry.id).exists)
            await asyncio.sleep(0)
            write(path, 2, b"two\n")
            await eventually(lambda: len(taker.received) == 2)
            assert [data.split()[-1] for data in taker.received] == [b"one", b"two"]
        await background.close()


async def test_sending_goes_on_where_its_place_cannot_be_written_down(
    tmp_path: Path, paths: Paths
) -> None:
    path, server = paths.log("a" * 64, "compact"), tmp_path / "server"
    path.parent.mkdir(parents=True)
    sent = paths.sent("a" * 64)
    sent.with_name(f"{sent.name}.new").mkdir()
    entry = logging(path, server)
    entry.described.status = pb.STATUS_RUNNING
    background = Background()
    with contextlib.closing(Logs()) as logs, Datagrams(server) as taker:
        Senders(Config().container, paths, logs, background).follow(entry)
        for count in (1, 2, 3):
            write(path, count, b"%d\n" % count)
            await eventually(lambda count=count: len(taker.received) == count)  # type: ignore[misc]
        await background.close()


async def test_what_keeps_a_log_from_being_read_is_told(tmp_path: Path, paths: Paths) -> None:
    entry = logging(tmp_path / "none" / "log", tmp_path / "server")
    background = Background()
    with contextlib.closing(Logs()) as logs:
        senders = Senders(Config().container, paths, logs, background)
        senders.follow(entry)
        await eventually(lambda: "cannot be watched" in senders.state(entry).error)
        await background.close()
