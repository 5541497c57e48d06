import asyncio
import json
import time
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.container.logs import records
from scow.container.model.containers import Entry
from scow.contract.errors import FailedPrecondition


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
    found = [r.stdout or r.stderr async for r in records.read(entry, request)]
    return b"".join(found).decode().replace("\n", "")


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
    reading = asyncio.create_task(read(entry, pb.LogsRequest(follow=True, tail=1)))
    await asyncio.sleep(0.05)
    write(path, 5)
    await asyncio.sleep(0.05)
    assert not reading.done()
    write(path, 6)
    entry.described = pb.Container(log_path=str(path), status=pb.STATUS_EXITED)
    entry.notify()
    assert await asyncio.wait_for(reading, 2) == "456"


async def test_following_is_told_rather_than_asking(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_POLL_SECONDS", 60.0)
    responses = records.read(entry, pb.LogsRequest(follow=True, tail=0))
    first = asyncio.ensure_future(anext(responses))
    await asyncio.sleep(0.05)
    write(Path(entry.described.log_path), 7)
    assert (await asyncio.wait_for(first, 2)).stdout == b"7\n"
    await responses.aclose()  # type: ignore[attr-defined]


async def test_following_ends_at_until(entry: Entry) -> None:
    request = pb.LogsRequest(follow=True)
    request.until.FromNanoseconds(time.time_ns() + 200_000_000)
    assert await asyncio.wait_for(read(entry, request), 2) == "01234"


async def test_a_stopped_container_is_not_followed(entry: Entry) -> None:
    entry.described.status = pb.STATUS_EXITED
    assert await asyncio.wait_for(read(entry, pb.LogsRequest(follow=True)), 2) == "01234"
