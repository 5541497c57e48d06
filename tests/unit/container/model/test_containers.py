import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1.image_pb2 import PrepareResponse
from scow.api.types.v1.types_pb2 import Mount
from scow.api.volume.v1.volume_pb2 import AcquireResponse
from scow.container.model.containers import Containers
from scow.container.store import MIGRATIONS, ContainerStore
from scow.contract.errors import AmbiguousId, ContainerNotFound, InvalidName, NameInUse, ScowError
from scow.core.journal import Journal
from scow.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "container.db", MIGRATIONS)
    yield store
    store.close()


@pytest.fixture
def containers(store: Store) -> Containers:
    return again(store)


def again(store: Store) -> Containers:
    """What a service that starts anew finds."""
    return Containers(ContainerStore(store), Journal(store, "test", 1000))


def described(identity: str, name: str = "") -> pb.Container:
    return pb.Container(id=identity * 64, name=name, status=pb.STATUS_CREATING)


def actions(store: Store) -> list[str]:
    return [row["action"] for row in store.all("SELECT action FROM journal ORDER BY revision")]


def test_finding(containers: Containers) -> None:
    a = containers.reserve(described("a", "web"))
    b = containers.reserve(pb.Container(id="a" * 63 + "b", name="abc"))
    assert containers.find("a" * 64) is a
    assert containers.find("web") is a
    assert containers.find("/web") is a
    assert containers.find("abc") is b
    assert containers.find("a" * 63 + "b") is b
    with pytest.raises(AmbiguousId):
        containers.find("aaa")
    for text in ("", "nobody", "b"):
        with pytest.raises(ContainerNotFound):
            containers.find(text)


def test_a_name_is_held_by_one_also_after_a_restart(containers: Containers, store: Store) -> None:
    first = containers.reserve(described("a", "web"))
    for known in (containers, again(store)):
        with pytest.raises(NameInUse) as caught:
            known.reserve(described("b", "web"))
        assert caught.value.metadata["container"] == first.id
    assert not containers.knows("b" * 64)


def test_a_name_is_made_up(containers: Containers) -> None:
    entry = containers.reserve(described("a"))
    assert containers.find(entry.described.name) is entry


def test_a_change_is_recorded_with_its_events_or_not_at_all(
    containers: Containers, store: Store
) -> None:
    entry = containers.reserve(described("a", "web"))
    with containers.change(entry, ["create"], exitCode="1") as (_, draft):
        draft.status = pb.STATUS_CREATED
        assert entry.described.status == pb.STATUS_CREATING
    assert again(store).find("web").described.status == pb.STATUS_CREATED
    assert entry.described.HasField("updated_at")

    def fail() -> None:
        with containers.change(entry, ["start"]) as (_, draft):
            draft.status = pb.STATUS_RUNNING
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert entry.described.status == pb.STATUS_CREATED
    assert again(store).find("web").described.status == pb.STATUS_CREATED
    assert actions(store) == ["create"]


def test_labels_go_into_events_but_never_stand_in_the_way(
    containers: Containers, store: Store
) -> None:
    made = described("a", "web")
    made.labels.update({"tier": "front", "name": "x", "action": "y", "exitCode": "z", "tx": "1"})
    entry = containers.reserve(made)
    with containers.change(entry, ["die"], exitCode="3"):
        pass
    row = store.one("SELECT attributes FROM journal")
    assert row is not None
    assert json.loads(row["attributes"]) == {
        "tier": "front",
        "action": "y",
        "tx": "1",
        "exitCode": "3",
        "name": "web",
        "image": "",
    }


def test_what_others_hold_comes_back_after_a_restart(containers: Containers, store: Store) -> None:
    entry = containers.reserve(described("a", "web"))
    rootfs = PrepareResponse(mounts=[Mount(type="overlay")], driver="overlay")
    volumes = AcquireResponse()
    volumes.mounts.add(name="data", type="volume")
    with containers.change(entry) as (tx, _):
        containers.store.hold(tx, entry.id, rootfs, volumes)
        containers.store.remove_volumes(tx, entry.id)
    found = again(store).find("web")
    assert (found.rootfs, found.volumes, found.remove_volumes) == (rootfs, volumes, True)


async def test_forgetting_frees_the_name_and_keeps_the_outcome(
    containers: Containers, store: Store
) -> None:
    entry = containers.reserve(described("a", "web"))
    with containers.change(entry) as (_, draft):
        draft.exit_code = 7
    waiting = asyncio.create_task(entry.until(lambda: entry.gone, 5))
    await asyncio.sleep(0)
    with store.transaction() as tx:
        containers.forget(tx, entry, created=True)
    containers.forgotten(entry)
    assert await waiting
    outcome = containers.store.departed(entry.id)
    assert outcome is not None
    assert outcome.exit_code == 7
    containers.reserve(described("b", "web"))
    assert actions(store) == ["destroy"]
    containers.store.prune(0, 2**62)
    assert containers.store.departed(entry.id) is None


def test_a_creation_that_failed_leaves_no_trace(containers: Containers, store: Store) -> None:
    entry = containers.reserve(described("a", "web"))
    with store.transaction() as tx:
        containers.forget(tx, entry, created=False)
    containers.forgotten(entry)
    assert containers.store.departed(entry.id) is None
    assert actions(store) == []
    assert again(store).all() == []


def test_exec_sessions(containers: Containers, store: Store) -> None:
    entry = containers.reserve(described("a", "web"))
    rows = containers.store
    with store.transaction() as tx:
        for number, exec_id in enumerate("xyz"):
            rows.insert_exec(
                tx, exec_id, entry.id, 100 + number, number, pb.ExecConfig(args=["true"])
            )
        assert rows.end_exec(tx, "x", 3, 10)
        assert not rows.end_exec(tx, "x", 4, 11)
    assert rows.running_execs(entry.id) == ["y", "z"]
    with store.transaction() as tx:
        rows.end_execs(tx, entry.id, 137, 20)
    codes = [row.exit_code for row in map(rows.exec, "xyz") if row is not None]
    assert codes == [3, 137, 137]
    rows.prune(15, 0)
    assert rows.exec("x") is None
    assert rows.exec("y") is not None
    with store.transaction() as tx:
        containers.forget(tx, entry, created=True)
    assert rows.exec("y") is None


async def test_until_times_out(containers: Containers) -> None:
    entry = containers.reserve(described("a", "web"))
    assert not await entry.until(lambda: entry.gone, 0.01)
    assert not await entry.until(lambda: entry.gone, 0)
    assert await entry.until(lambda: True, 0)


async def test_sessions_are_counted(containers: Containers) -> None:
    entry = containers.reserve(described("a", "web"))
    with entry.session():
        waiting = asyncio.create_task(entry.until(lambda: entry.sessions == 0, 5))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting


def test_renaming(containers: Containers, store: Store) -> None:
    entry = containers.reserve(described("a", "web"))
    other = described("b", "box")
    other.config.network = "container:web"
    containers.reserve(other)
    containers.rename(entry, "front", lambda made: made)
    for found in (containers, again(store)):
        assert found.find("front").id == entry.id
        assert found.find("front").described.name == "front"
        assert found.find("box").described.config.network == "container:front"
        with pytest.raises(ContainerNotFound):
            found.find("web")
    containers.reserve(described("c", "web"))
    (row,) = store.all("SELECT * FROM journal WHERE action = 'rename'")
    assert json.loads(row["attributes"])["oldName"] == "/web"
    assert json.loads(row["attributes"])["name"] == "front"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "box",
            NameInUse,
            'Conflict. The container name "/box" is already in use by container "bbb',
        ),
        ("web", InvalidName, "Renaming a container with the same name as its current name"),
        ("a b", InvalidName, "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are"),
        ("", InvalidName, "Invalid container name (), only"),
    ],
)
def test_names_that_none_can_get(
    containers: Containers, store: Store, name: str, error: type[ScowError], message: str
) -> None:
    entry = containers.reserve(described("a", "web"))
    containers.reserve(described("b", "box"))
    with pytest.raises(error) as caught:
        containers.rename(entry, name, lambda made: made)
    assert caught.value.message.startswith(message)
    assert again(store).find("web").id == entry.id
    assert containers.find("web") is entry
    assert "rename" not in actions(store)
