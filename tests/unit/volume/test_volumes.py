import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.types.v1.types_pb2 import Filter
from scow.api.volume.v1.volume_pb2 import CreateRequest, MountRequest, ResolvedMount
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


def fill(mount: ResolvedMount, *names: str) -> None:
    """Do what the spawner does when the image has these files at the volume's place."""
    content = Path(mount.fill_path)
    content.mkdir()
    for name in names:
        (content / name).touch()


def contents(tmp_path: Path, name: str = "vol") -> list[str]:
    return sorted(os.listdir(tmp_path / "volumes" / name / "_data"))


def beside(tmp_path: Path, name: str = "vol") -> list[str]:
    return sorted(set(os.listdir(tmp_path / "volumes" / name)) - {"_data"})


def test_a_fresh_volume_is_filled_once(volumes: Volumes, tmp_path: Path) -> None:
    [mount] = volumes.acquire(OWNER, [ask("vol")])
    assert Path(mount.fill_path).parent.stat().st_mode & 0o777 == 0o700
    fill(mount, "file")
    assert contents(tmp_path) == []
    assert asyncio.run(volumes.fill(OWNER)) == ["vol"]
    assert asyncio.run(volumes.fill(OWNER)) == []
    assert contents(tmp_path) == ["file"]
    assert beside(tmp_path) == []
    (tmp_path / "volumes/vol/_data/file").unlink()
    volumes.release(OWNER, remove_anonymous=True)
    assert volumes.acquire("container/2", [ask("vol")])[0].fill_path == ""


def test_the_first_of_two_fills(volumes: Volumes, tmp_path: Path) -> None:
    [one] = volumes.acquire(OWNER, [ask("vol")])
    [two] = volumes.acquire("container/2", [ask("vol")])
    fill(one, "one")
    fill(two, "two")
    assert asyncio.run(volumes.fill("container/2")) == ["vol"]
    assert asyncio.run(volumes.fill(OWNER)) == []
    assert contents(tmp_path) == ["two"]
    assert beside(tmp_path) == []


def test_a_volume_of_a_started_container_is_left_alone(volumes: Volumes, tmp_path: Path) -> None:
    volumes.acquire(OWNER, [ask("vol")])
    [two] = volumes.acquire("container/2", [ask("vol")])
    fill(two, "two")
    volumes.activate(OWNER, [])
    assert asyncio.run(volumes.fill("container/2")) == []
    assert contents(tmp_path) == []
    assert volumes.acquire("container/3", [ask("vol")])[0].fill_path == ""
    # Acquiring again does not forget that its container may run.
    volumes.acquire(OWNER, [ask("vol")])
    assert volumes.acquire("container/3", [ask("vol")])[0].fill_path == ""
    volumes.release(OWNER, remove_anonymous=True)
    assert volumes.acquire("container/3", [ask("vol")])[0].fill_path != ""


def test_content_that_came_meanwhile_stays(volumes: Volumes, tmp_path: Path) -> None:
    [mount] = volumes.acquire(OWNER, [ask("vol")])
    fill(mount, "file")
    (tmp_path / "volumes/vol/_data/of-an-administrator").touch()
    assert asyncio.run(volumes.fill(OWNER)) == []
    assert contents(tmp_path) == ["of-an-administrator"]
    assert beside(tmp_path) == []


def test_half_a_copy_never_shows(volumes: Volumes, tmp_path: Path) -> None:
    [mount] = volumes.acquire(OWNER, [ask("vol")])
    Path(f"{mount.fill_path}.part").mkdir()
    assert asyncio.run(volumes.fill(OWNER)) == []
    assert contents(tmp_path) == []
    assert volumes.acquire("container/2", [ask("vol")])[0].fill_path != ""


@pytest.mark.parametrize("way", ["release", "reconcile"])
def test_what_was_offered_goes_with_its_owner(volumes: Volumes, tmp_path: Path, way: str) -> None:
    [mount] = volumes.acquire(OWNER, [ask("vol")])
    volumes.reconcile(set())
    assert Path(mount.fill_path).parent.is_dir()  # its owner may yet fill it
    if way == "release":
        volumes.release(OWNER, remove_anonymous=True)
    else:
        volumes.reconcile({OWNER})
    assert beside(tmp_path) == []


def test_volumes_with_options_are_not_filled(volumes: Volumes) -> None:
    volumes.create(CreateRequest(name="vol", options={"type": "tmpfs", "device": "tmpfs"}))
    assert volumes.acquire(OWNER, [ask("vol")])[0].fill_path == ""


def test_a_link_in_the_place_of_a_volume(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    [mount] = volumes.acquire(OWNER, [ask("vol")])
    fill(mount, "file")
    (tmp_path / "volumes/vol/_data").rmdir()
    (tmp_path / "volumes/vol/_data").symlink_to(tmp_path / "host")
    assert asyncio.run(volumes.fill(OWNER)) == []
    assert os.listdir(tmp_path / "host") == []
