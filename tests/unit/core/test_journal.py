import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
