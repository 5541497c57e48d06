"""Sending records of a container that ends and is started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

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


async def test_what_a_second_run_writes_is_sent_when_the_first_waited_for_the_server(
    tmp_path: Path,
) -> None:
    paths = Paths(Config(root=tmp_path / "root", run=tmp_path / "run"))
    path, server = paths.log("a" * 64, "compact"), tmp_path / "server"
    path.parent.mkdir(parents=True)
    options = {"syslog-address": f"unixgram://{server}"}
    entry = Entry(
        pb.Container(
            id="a" * 64,
            status=pb.STATUS_EXITED,
            log_path=str(path),
            config=pb.ContainerConfig(log=pb.LogConfig(driver="syslog", options=options)),
        )
    )
    encoder = CompactEncoder(run=1)
    path.write_bytes(encoder.placed(encoder.encode("stdout", b"one\n"), 0))
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
            encoder = CompactEncoder(run=2)
            with path.open("ab") as file:
                file.write(encoder.placed(encoder.encode("stdout", b"two\n"), 0))
            await eventually(lambda: len(taker.received) == 2)
            assert [data.split()[-1] for data in taker.received] == [b"one", b"two"]
        await background.close()
