import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from scow.api.types.v1.types_pb2 import Filter
from scow.api.volume.v1.volume_pb2 import WatchRequest, WatchResponse
from scow.core.journal import Journal
from scow.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "j.db", [])


def write(store: Store, journal: Journal, *actions: str, object_id: str = "v1") -> None:
    for action in actions:
        with store.transaction() as tx:
            journal.append(tx, "volume", object_id, action, {"name": object_id})


async def take(stream: AsyncIterator[WatchResponse], count: int) -> list[WatchResponse]:
    return [await asyncio.wait_for(anext(stream), 2) for _ in range(count)]


async def test_replays_then_follows(store: Store) -> None:
    journal = Journal(store, "scow-test")
    write(store, journal, "create", "mount")
    stream = journal.watch(WatchRequest(from_revision=1), WatchResponse)
    first = await take(stream, 2)
    assert [(r.event.revision, r.event.action) for r in first] == [(1, "create"), (2, "mount")]
    assert first[0].event.actor == "scow-test"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)  # up to where it waits for a change
    assert not waiting.done()
    write(store, journal, "destroy")
    assert (await asyncio.wait_for(waiting, 2)).event.action == "destroy"


async def test_from_zero_means_from_now_on(store: Store) -> None:
    journal = Journal(store, "scow-test")
    write(store, journal, "old")
    stream = journal.watch(WatchRequest(), WatchResponse)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)  # up to where it waits for a change
    write(store, journal, "new")
    assert (await asyncio.wait_for(waiting, 2)).event.action == "new"


async def test_a_rolled_back_change_leaves_no_event(store: Store) -> None:
    journal = Journal(store, "scow-test")
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        journal.append(tx, "volume", "v", "create")
        _ = 1 / 0
    write(store, journal, "kept")
    (response,) = await take(journal.watch(WatchRequest(from_revision=1), WatchResponse), 1)
    assert response.event.action == "kept"


async def test_compaction_is_said(store: Store) -> None:
    journal = Journal(store, "scow-test", keep=10)
    with store.transaction() as tx:
        for number in range(1005):
            journal.append(tx, "volume", f"v{number}", "create")
    stream = journal.watch(WatchRequest(from_revision=1), WatchResponse)
    first, second = await take(stream, 2)
    assert first.compacted.oldest_revision == 991
    assert second.event.revision == 991


async def test_revisions_go_on_after_everything_was_compacted(store: Store) -> None:
    journal = Journal(store, "scow-test", keep=0)
    with store.transaction() as tx:
        for _ in range(1000):
            journal.append(tx, "volume", "v", "create")
    assert store.all("SELECT * FROM journal") == []
    stream = journal.watch(WatchRequest(from_revision=5), WatchResponse)
    (gone,) = await take(stream, 1)
    assert gone.compacted.oldest_revision == 1001
    write(store, journal, "next")
    (response,) = await take(stream, 1)
    assert response.event.revision == 1001


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("event", "mount", [2]), ("volume", "v2", [3]), ("type", "image", []), ("id", "v2", [3])],
)
async def test_filters(store: Store, key: str, value: str, expected: list[int]) -> None:
    journal = Journal(store, "scow-test")
    write(store, journal, "create", "mount")
    write(store, journal, "create", object_id="v2")
    request = WatchRequest(from_revision=1, filters=[Filter(key=key, values=[value])])
    stream = journal.watch(request, WatchResponse)
    got = await take(stream, len(expected))
    assert [r.event.revision for r in got] == expected
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)


async def test_labels_of_any_name_come_and_long_ones_stay_away(store: Store) -> None:
    """Labels called like a parameter vanished; one of 7.9 MB was in each event."""
    journal = Journal(store, "scow-test")
    labels = {"tx": "1", "action": "2", "self": "3", "name": "hidden", "long": "x" * 1_000_000}
    with store.transaction() as tx:
        journal.append(tx, "volume", "v", "create", {"name": "shown"}, labels)
    (response,) = await take(journal.watch(WatchRequest(from_revision=1), WatchResponse), 1)
    assert dict(response.event.attributes) == {
        "tx": "1",
        "action": "2",
        "self": "3",
        "name": "shown",
    }


def at(nanoseconds: int) -> Timestamp:
    found = Timestamp()
    found.FromNanoseconds(nanoseconds)
    return found


async def collected(journal: Journal, request: WatchRequest) -> list[WatchResponse]:
    return [response async for response in journal.watch(request, WatchResponse)]


async def test_a_range_of_time(store: Store) -> None:
    journal = Journal(store, "scow-test")
    write(store, journal, "one", "two", "three")
    times = [row["time_ns"] for row in store.all("SELECT time_ns FROM journal ORDER BY revision")]
    since, until = at(times[1]), at(times[1])
    found = await collected(journal, WatchRequest(since=since, until=until))
    assert [each.event.action for each in found] == ["two"]
    assert await collected(journal, WatchRequest(since=at(1), until=at(2))) == []


async def test_a_watch_ends_at_its_time(store: Store) -> None:
    journal = Journal(store, "scow-test")
    request = WatchRequest(from_revision=1, until=at(time.time_ns() + 200_000_000))
    async with asyncio.timeout(20):
        assert await collected(journal, request) == []


async def test_positions_tell_where_to_go_on(store: Store) -> None:
    journal = Journal(store, "scow-test")
    write(store, journal, "one", "two")
    unwanted = [Filter(key="event", values=["other"])]
    stream = journal.watch(WatchRequest(positions=True, filters=unwanted), WatchResponse)
    assert (await asyncio.wait_for(anext(stream), 2)).position == 3
    write(store, journal, "three")
    assert (await asyncio.wait_for(anext(stream), 2)).position == 4
    stream = journal.watch(WatchRequest(from_revision=1, positions=True), WatchResponse)
    kinds = [each.WhichOneof("message") for each in await take(stream, 4)]
    assert kinds == ["event", "event", "event", "position"]


async def test_a_time_before_what_is_kept_is_said(store: Store) -> None:
    journal = Journal(store, "scow-test", keep=10)
    with store.transaction() as tx:
        for number in range(1000):
            journal.append(tx, "volume", f"v{number}", "create")
    request = WatchRequest(since=at(1), until=at(time.time_ns()))
    first, *rest = await collected(journal, request)
    assert (first.compacted.oldest_revision, len(rest)) == (991, 10)


@pytest.mark.parametrize(
    ("key", "value", "met"),
    [
        ("event", "exec_start", True),
        ("event", "exec_start: sh", True),
        ("event", "exec", False),
        ("image", "busy", True),
        ("image", "x", False),
        ("container", "abc", True),
        ("container", "we", True),
        ("container", "eb", False),
        ("volume", "abc", False),
        ("type", "container", True),
        ("label", "tier=front", True),
    ],
)
async def test_filters_of_events(store: Store, key: str, value: str, met: bool) -> None:
    journal = Journal(store, "scow-test")
    facts = {"name": "web", "image": "busybox"}
    with store.transaction() as tx:
        labels = {"tier": "front"}
        journal.append(tx, "container", "abcdef", "exec_start: sh", facts, labels)
    filters = [Filter(key=key, values=[value])]
    until = at(time.time_ns())
    request = WatchRequest(from_revision=1, until=until, filters=filters)
    assert bool(await collected(journal, request)) == met
