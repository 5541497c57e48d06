"""Reading logs: selection, following, and what it costs while nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs.files import Cursor
from scow.container.logs.records import Answers, Logs
from scow.container.model.containers import Entry
from scow.contract.errors import FailedPrecondition, LimitExceeded
from scow.contract.log_lines import Records
from scow.kernel.inotify import FolderWatches


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    path = tmp_path / "c-json.log"
    for second in range(5):
        write(path, second, "stderr" if second == 3 else "stdout")
    return Entry(pb.Container(log_path=str(path), status=pb.STATUS_RUNNING))


def write(path: Path, second: int, stream: str = "stdout") -> None:
    stamp = f"2026-01-01T00:00:{second:02d}Z"
    with path.open("a") as file:
        file.write(json.dumps({"log": f"{second}\n", "stream": stream, "time": stamp}) + "\n")


async def read(entry: Entry, request: pb.LogsRequest) -> str:
    with contextlib.closing(Logs()) as logs:
        found = [some async for some in logs.read(entry, request)]
    many = [each for some in found for each in Answers(pb.LogsRequest(batches=True)).of(some)]
    batches = b"".join(records.data for response in many for records in response.batch)
    single = b"".join(record.stdout or record.stderr for some in found for record in singly(some))
    assert batches == single
    return single.decode().replace("\n", "")


def singly(found: list[Records]) -> list[pb.LogsResponse]:
    return list(Answers(pb.LogsRequest()).of(found))


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def at(second: int) -> pb.LogsRequest:
    request = pb.LogsRequest()
    request.since.FromJsonString(f"2026-01-01T00:00:{second:02d}Z")
    return request


async def test_streams(entry: Entry) -> None:
    assert await read(entry, pb.LogsRequest()) == "01234"
    assert await read(entry, pb.LogsRequest(stdout=True, stderr=True)) == "01234"
    assert await read(entry, pb.LogsRequest(stdout=True)) == "0124"
    assert await read(entry, pb.LogsRequest(stderr=True)) == "3"


async def test_tail_and_times(entry: Entry) -> None:
    assert await read(entry, pb.LogsRequest(tail=2)) == "34"
    assert await read(entry, pb.LogsRequest(tail=0)) == ""
    assert await read(entry, pb.LogsRequest(tail=-1)) == "01234"
    assert await read(entry, at(2)) == "234"
    assert await read(entry, pb.LogsRequest(until=at(2).since)) == "012"
    assert await read(entry, pb.LogsRequest(since=at(1).since, until=at(3).since, tail=4)) == "123"


async def test_no_log_is_said(entry: Entry) -> None:
    none = Entry(pb.Container(name="quiet"))
    with pytest.raises(FailedPrecondition) as caught:
        await read(none, pb.LogsRequest())
    assert caught.value.which == "quiet"


async def test_following_ends_with_the_container_and_misses_nothing(entry: Entry) -> None:
    path = Path(entry.described.log_path)
    with contextlib.closing(Logs()) as logs:
        reading = logs.read(entry, pb.LogsRequest(follow=True, tail=1))

        async def more() -> bytes:
            found = await asyncio.wait_for(anext(reading), 10)
            return b"".join(record.stdout for record in singly(found))

        assert await more() == b"4\n"
        write(path, 5)
        assert await more() == b"5\n"
        write(path, 6)
        entry.described = pb.Container(log_path=str(path), status=pb.STATUS_EXITED)
        entry.notify()
        assert await more() == b"6\n"
        with pytest.raises(StopAsyncIteration):
            await more()


async def test_all_followers_share_one_instance_of_inotify(entry: Entry) -> None:
    def instances() -> int:
        links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd")]
        return sum("inotify" in link for link in links)

    with contextlib.closing(Logs()) as logs:
        before = instances()
        followers = [logs.read(entry, pb.LogsRequest(follow=True, tail=1)) for _ in range(20)]
        await asyncio.gather(*(anext(follower) for follower in followers))
        waiting = [asyncio.ensure_future(anext(follower)) for follower in followers]
        assert instances() == before + 1
        write(Path(entry.described.log_path), 7)
        for records in await asyncio.wait_for(asyncio.gather(*waiting), 5):
            assert records[0].data == b"7\n"
        for follower in followers:
            await follower.aclose()  # type: ignore[attr-defined]


async def test_a_follower_sleeps_while_nothing_is_written(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    original = Cursor.records

    def counted(cursor: Cursor) -> list[Records]:
        nonlocal looks
        looks += 1
        return original(cursor)

    monkeypatch.setattr(Cursor, "records", counted)
    with contextlib.closing(Logs()) as logs:
        follower = logs.read(entry, pb.LogsRequest(follow=True, tail=0))
        waiting = asyncio.ensure_future(anext(follower))
        await eventually(lambda: looks == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.7)
        assert looks == 1
        write(Path(entry.described.log_path), 7)
        assert (await asyncio.wait_for(waiting, 5))[0].data == b"7\n"
        await follower.aclose()  # type: ignore[attr-defined]


async def test_a_kernel_without_watches_is_told(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def full(watches: FolderWatches, folder: Path) -> Iterator[asyncio.Event]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(FolderWatches, "watch", full)
    with pytest.raises(LimitExceeded) as caught:
        await read(entry, pb.LogsRequest(follow=True))
    assert "max_user_watches" in str(caught.value.metadata)


async def test_streams_that_alternate_come_in_one_message(entry: Entry) -> None:
    path = Path(entry.described.log_path)
    for second in range(5, 50):
        write(path, second, "stderr" if second % 2 else "stdout")
    with contextlib.closing(Logs()) as logs:
        found = [some async for some in logs.read(entry, pb.LogsRequest())]
    assert len(found) == 1


async def test_following_ends_at_until(entry: Entry) -> None:
    request = pb.LogsRequest(follow=True)
    request.until.FromNanoseconds(time.time_ns() + 200_000_000)
    assert await asyncio.wait_for(read(entry, request), 2) == "01234"


async def test_a_stopped_container_is_not_followed(entry: Entry) -> None:
    entry.described.status = pb.STATUS_EXITED
    assert await asyncio.wait_for(read(entry, pb.LogsRequest(follow=True)), 2) == "01234"
