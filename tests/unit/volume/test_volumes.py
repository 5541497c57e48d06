from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.types.v1.types_pb2 import Filter
from scow.api.volume.v1.volume_pb2 import CreateRequest, MountRequest
from scow.contract.errors import (
    InvalidArgument,
    InvalidName,
    NameInUse,
    ScowError,
    VolumeInUse,
    VolumeNotFound,
)
from scow.core.journal import Journal
from scow.core.store import Store
from scow.volume.directories import Directories
from scow.volume.store import MIGRATIONS
from scow.volume.volumes import Volumes

OWNER = "container/1"


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    store = Store.open(tmp_path / "volume.db", MIGRATIONS)
    yield Volumes(store, Journal(store, "test", 1000), Directories(tmp_path))
    store.close()


def ask(source: str = "", target: str = "/data") -> MountRequest:
    return MountRequest(type="volume", source=source, target=target)


@pytest.mark.parametrize("name", ["a", "-a", "a/b", "../x", "a b", "ü" * 3, "x" * 256])
def test_bad_names_are_refused(volumes: Volumes, name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        volumes.create(CreateRequest(name=name))
    assert caught.value.which == name
    assert volumes.select([]) == []


@pytest.mark.parametrize(
    "request_",
    [CreateRequest(name="vol", driver="nfs"), CreateRequest(name="vol", options={"size": "1"})],
)
def test_unknown_drivers_and_options_are_refused(volumes: Volumes, request_: CreateRequest) -> None:
    with pytest.raises(InvalidArgument):
        volumes.create(request_)


def test_the_same_again_returns_what_is_there(volumes: Volumes) -> None:
    first = volumes.create(CreateRequest(name="vol")).volume
    assert volumes.create(CreateRequest(name="vol")).volume == first
    with pytest.raises(NameInUse):
        volumes.create(CreateRequest(name="vol", options={"type": "tmpfs"}))


def test_a_volume_that_is_held_stays(volumes: Volumes, tmp_path: Path) -> None:
    volumes.acquire(OWNER, [ask("vol")])
    with pytest.raises(VolumeInUse, match=OWNER):
        volumes.remove("vol", force=True)
    assert (tmp_path / "volumes/vol/_data").is_dir()
    volumes.release(OWNER, remove_anonymous=True)
    volumes.remove("vol", force=False)
    assert not (tmp_path / "volumes/vol").exists()


def test_an_unknown_volume(volumes: Volumes) -> None:
    with pytest.raises(VolumeNotFound):
        volumes.get("vol")
    with pytest.raises(VolumeNotFound):
        volumes.remove("vol", force=False)
    volumes.remove("vol", force=True)


def test_acquiring_again_finds_the_same_anonymous_volumes(volumes: Volumes) -> None:
    wanted = [ask(target="/a"), ask(target="/b")]
    first = volumes.acquire(OWNER, wanted)
    assert first == volumes.acquire(OWNER, wanted)
    assert len(volumes.select([])) == 2
    assert first[0].mount.source != first[1].mount.source


def test_release_removes_anonymous_volumes_that_nobody_else_holds(volumes: Volumes) -> None:
    [mount] = volumes.acquire(OWNER, [ask()])
    volumes.acquire("container/2", [ask(mount.name)])
    assert volumes.release(OWNER, remove_anonymous=True) == []
    assert volumes.release("container/2", remove_anonymous=True) == [mount.name]
    assert volumes.release("container/2", remove_anonymous=True) == []


def test_a_failed_acquire_holds_nothing(volumes: Volumes) -> None:
    with pytest.raises(ScowError):
        volumes.acquire(OWNER, [ask("vol"), MountRequest(type="bind", source="/no/x", target="/y")])
    assert volumes.owners() == set()


def test_filters(volumes: Volumes) -> None:
    volumes.create(CreateRequest(name="web", labels={"tier": "front"}))
    volumes.acquire(OWNER, [ask("data")])

    def names(key: str, value: str) -> list[str]:
        return [v.name for v in volumes.select([Filter(key=key, values=[value])])]

    assert names("name", "e") == ["web"]
    assert names("label", "tier=front") == ["web"]
    assert names("label", "tier=back") == []
    assert names("dangling", "true") == ["web"]
    assert names("dangling", "false") == ["data"]
    with pytest.raises(InvalidArgument, match="color"):
        names("color", "red")


def test_reconcile_mends_folders_and_owners(volumes: Volumes, tmp_path: Path) -> None:
    volumes.acquire(OWNER, [ask("kept")])
    volumes.create(CreateRequest(name="lost"))
    (tmp_path / "volumes/lost/_data").rmdir()
    (tmp_path / "volumes/lost").rmdir()
    (tmp_path / "volumes/stray/_data").mkdir(parents=True)
    (tmp_path / "volumes/.new-half").mkdir()
    actions = {(a.object, a.action) for a in volumes.reconcile({OWNER})}
    assert actions == {
        ("volume/kept", "released"),
        ("volume/lost", "rebuilt"),
        ("volume/stray", "released"),
        ("volume/half", "released"),
    }
    assert volumes.owners() == set()
    assert {p.name for p in (tmp_path / "volumes").iterdir()} == {"kept", "lost"}
    assert volumes.reconcile(set()) == []
