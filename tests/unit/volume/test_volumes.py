import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scow.api.types.v1.types_pb2 import Filter, ReconcileAction
from scow.api.volume.v1.volume_pb2 import AcquireRequest, CreateRequest, MountRequest, ResolvedMount
from scow.contract.errors import (
    InvalidArgument,
    InvalidMount,
    InvalidName,
    NameInUse,
    ScowError,
    VolumeInUse,
    VolumeNotFound,
)
from scow.core.config import Config, VolumeSection
from scow.core.journal import Journal
from scow.core.peers import Peers
from scow.core.store import Store
from scow.volume import drivers
from scow.volume.directories import Directories
from scow.volume.holds import Holds
from scow.volume.peers.container import Containers
from scow.volume.plugins.plugins import Plugins
from scow.volume.quotas.quotas import Quotas
from scow.volume.store import MIGRATIONS, Volume
from scow.volume.use_lock import UseLock
from scow.volume.volumes import Volumes

OWNER = "container/1"


class Service:
    """Volumes and their uses, with the driver `local`."""

    def __init__(self, store: Store, folder: Path) -> None:
        directories = Directories(folder)
        journal = Journal(store, "test", 1000)
        plugins = Plugins(VolumeSection(plugin_dirs=()), store, journal)
        self.volumes = Volumes(store, journal, drivers.make(directories, plugins))
        quotas = Quotas(store, journal, self.volumes)
        self.use_lock = UseLock(self.volumes.rows, Containers(Peers(Config())))
        self.holds = Holds(self.volumes, directories, self.use_lock, quotas.apply)
        self.create = self.volumes.create
        self.remove = self.volumes.remove
        self.select = self.volumes.select
        self.get = self.volumes.get
        self.activate = self.holds.activate
        self.deactivate = self.holds.deactivate
        self.fill = self.holds.fill
        self.release = self.holds.release
        self.owners = self.holds.owners

    async def acquire(self, owner: str, mounts: Sequence[MountRequest]) -> list[ResolvedMount]:
        return await self.holds.acquire(AcquireRequest(owner=owner, mounts=mounts))

    async def reconcile(self, gone: set[str]) -> list[ReconcileAction]:
        return [*await self.holds.reconcile(gone), *await self.volumes.reconcile()]


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Service]:
    store = Store.open(tmp_path / "volume.db", MIGRATIONS)
    yield Service(store, tmp_path)
    store.close()


def ask(source: str = "", target: str = "/data") -> MountRequest:
    return MountRequest(type="volume", source=source, target=target)


@pytest.mark.parametrize("name", ["a", "-a", "a/b", "../x", "a b", "ü" * 3, "x" * 256])
async def test_bad_names_are_refused(volumes: Service, name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        await volumes.create(CreateRequest(name=name))
    assert caught.value.which == name
    assert volumes.select([]) == []


@pytest.mark.parametrize(
    "request_",
    [CreateRequest(name="vol", driver="nfs"), CreateRequest(name="vol", options={"sizes": "1"})],
)
async def test_unknown_drivers_and_options_are_refused(
    volumes: Service, request_: CreateRequest
) -> None:
    with pytest.raises(InvalidArgument):
        await volumes.create(request_)


async def test_names_of_drivers_that_clients_make_up_are_forgotten(volumes: Service) -> None:
    for index in range(3):
        with pytest.raises(InvalidArgument, match="there is no volume driver"):
            await volumes.create(CreateRequest(name="vol", driver=f"made-up-{index}"))
    assert list(volumes.volumes.drivers) == ["local"]
    # One that has volumes is not, wherever it is now.
    with volumes.volumes.store.transaction() as tx:
        volumes.volumes.rows.insert(tx, Volume("old", "away", 0))
    assert volumes.get("old").driver == "away"
    assert list(volumes.volumes.drivers) == ["local", "away"]


async def test_the_same_again_returns_what_is_there(volumes: Service) -> None:
    first = await volumes.create(CreateRequest(name="vol"))
    assert await volumes.create(CreateRequest(name="vol")) == first
    with pytest.raises(NameInUse):
        await volumes.create(CreateRequest(name="vol", options={"type": "tmpfs"}))


async def test_a_volume_that_is_held_stays(volumes: Service, tmp_path: Path) -> None:
    await volumes.acquire(OWNER, [ask("vol")])
    with pytest.raises(VolumeInUse, match=OWNER):
        await volumes.remove("vol", force=True)
    assert (tmp_path / "volumes/vol/_data").is_dir()
    await volumes.release(OWNER, remove_anonymous=True)
    await volumes.remove("vol", force=False)
    assert not (tmp_path / "volumes/vol").exists()


async def test_an_unknown_volume(volumes: Service) -> None:
    with pytest.raises(VolumeNotFound):
        volumes.get("vol")
    with pytest.raises(VolumeNotFound):
        await volumes.remove("vol", force=False)
    await volumes.remove("vol", force=True)


async def test_acquiring_again_finds_the_same_anonymous_volumes(volumes: Service) -> None:
    wanted = [ask(target="/a"), ask(target="/b")]
    first = await volumes.acquire(OWNER, wanted)
    assert first == await volumes.acquire(OWNER, wanted)
    assert len(volumes.select([])) == 2
    assert first[0].mount.source != first[1].mount.source


async def test_release_removes_anonymous_volumes_that_nobody_else_holds(volumes: Service) -> None:
    [mount] = await volumes.acquire(OWNER, [ask()])
    await volumes.acquire("container/2", [ask(mount.name)])
    assert await volumes.release(OWNER, remove_anonymous=True) == []
    assert await volumes.release("container/2", remove_anonymous=True) == [mount.name]
    assert await volumes.release("container/2", remove_anonymous=True) == []


async def test_a_failed_acquire_holds_nothing(volumes: Service) -> None:
    with pytest.raises(ScowError):
        await volumes.acquire(
            OWNER, [ask("vol"), MountRequest(type="bind", source="/no/x", target="/y")]
        )
    assert volumes.owners() == set()


async def test_filters(volumes: Service) -> None:
    await volumes.create(CreateRequest(name="web", labels={"tier": "front"}))
    await volumes.acquire(OWNER, [ask("data")])

    def names(key: str, value: str) -> list[str]:
        return [v.name for v in volumes.select([Filter(key=key, values=[value])])]

    assert names("name", "e") == ["web"]
    assert names("label", "tier=front") == ["web"]
    assert names("label", "tier=back") == []
    assert names("dangling", "true") == ["web"]
    assert names("dangling", "false") == ["data"]
    with pytest.raises(InvalidArgument, match="color"):
        names("color", "red")


async def test_reconcile_mends_folders_and_owners(volumes: Service, tmp_path: Path) -> None:
    await volumes.acquire(OWNER, [ask("kept")])
    await volumes.create(CreateRequest(name="lost"))
    (tmp_path / "volumes/lost/_data").rmdir()
    (tmp_path / "volumes/lost").rmdir()
    (tmp_path / "volumes/stray/_data").mkdir(parents=True)
    (tmp_path / "volumes/.new-half").mkdir()
    actions = {(a.object, a.action) for a in await volumes.reconcile({OWNER})}
    assert actions == {
        ("volume/kept", "released"),
        ("volume/lost", "rebuilt"),
        ("volume/stray", "released"),
        ("volume/half", "released"),
    }
    assert volumes.owners() == set()
    assert {p.name for p in (tmp_path / "volumes").iterdir()} == {"kept", "lost"}
    assert await volumes.reconcile(set()) == []


async def test_a_removal_that_was_cut_short_is_finished(volumes: Service, tmp_path: Path) -> None:
    await volumes.create(CreateRequest(name="vol"))
    with volumes.volumes.store.transaction() as tx:
        volumes.volumes.rows.begin_removal(tx, "vol")
    assert volumes.select([]) == []
    actions = await volumes.reconcile(set())
    assert [(a.object, a.action) for a in actions] == [("volume/vol", "released")]
    assert not (tmp_path / "volumes/vol").exists()
    assert volumes.volumes.rows.removing() == []


async def test_a_name_whose_removal_was_cut_short_is_free(volumes: Service, tmp_path: Path) -> None:
    await volumes.create(CreateRequest(name="vol"))
    (tmp_path / "volumes/vol/_data/old").touch()
    with volumes.volumes.store.transaction() as tx:
        volumes.volumes.rows.begin_removal(tx, "vol")
    await volumes.create(CreateRequest(name="vol"))
    assert contents(tmp_path) == []


async def test_what_was_activated_is_deactivated_once(volumes: Service) -> None:
    await volumes.acquire(OWNER, [ask("vol")])
    [mount] = await volumes.activate(OWNER)
    assert mount.mount.source == volumes.get("vol").mountpoint
    rows = volumes.volumes.rows
    assert rows.mounted(OWNER) == ["vol"]
    for _ in range(2):
        await volumes.deactivate(OWNER)
        assert rows.mounted(OWNER) == []
    assert await volumes.activate("container/unknown") == []


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


async def test_a_fresh_volume_is_filled_once(volumes: Service, tmp_path: Path) -> None:
    [mount] = await volumes.acquire(OWNER, [ask("vol")])
    assert Path(mount.fill_path).parent.stat().st_mode & 0o777 == 0o700
    fill(mount, "file")
    assert contents(tmp_path) == []
    assert await volumes.fill(OWNER) == ["vol"]
    assert await volumes.fill(OWNER) == []
    assert contents(tmp_path) == ["file"]
    assert beside(tmp_path) == []
    (tmp_path / "volumes/vol/_data/file").unlink()
    await volumes.release(OWNER, remove_anonymous=True)
    assert (await volumes.acquire("container/2", [ask("vol")]))[0].fill_path == ""


async def test_a_part_of_a_volume_is_not_filled(volumes: Service) -> None:
    part = ask("vol")
    part.subpath = "part"
    assert (await volumes.acquire(OWNER, [part]))[0].fill_path == ""
    assert (await volumes.acquire("container/2", [ask("vol")]))[0].fill_path != ""


async def test_mounts_are_added_and_withdrawn(volumes: Service) -> None:
    await volumes.acquire(OWNER, [ask("vol"), ask(target="/anonymous")])
    holds = volumes.holds
    for _ in range(2):  # the same again changes nothing
        added = await holds.extend(OWNER, ask("more", "/more"))
    assert added.name == "more"
    with pytest.raises(InvalidMount, match="Duplicate mount point"):
        await holds.extend(OWNER, ask("other", "/more/"))
    assert [m.name for m in await volumes.activate(OWNER, "/more")] == ["more"]
    assert volumes.volumes.rows.mounted(OWNER) == ["more"]
    before = [m.name for m in await volumes.activate(OWNER)]
    await holds.withdraw(OWNER, "/data")
    await holds.withdraw(OWNER, "/data")
    assert "vol" not in volumes.volumes.rows.held(OWNER)
    # One without a name is the same as before, although its number is another one.
    assert [m.name for m in await volumes.activate(OWNER)] == before[1:]


async def test_a_start_looks_at_those_who_have_the_volume_mounted_alone(
    volumes: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = volumes.volumes.rows
    for index in range(20):
        await volumes.acquire(f"container/held{index}", [ask("vol")])
    await volumes.activate("container/held1")
    wish, asked = rows.wish, []

    def counted(owner: str) -> AcquireRequest | None:
        asked.append(owner)
        return wish(owner)

    monkeypatch.setattr(rows, "wish", counted)
    await volumes.activate("container/held2")
    assert asked == ["container/held2", "container/held1"]


async def test_the_only_writer(volumes: Service) -> None:
    alone = MountRequest(type="volume", source="vol", target="/data", exclusive=True)
    reader = MountRequest(type="volume", source="vol", target="/data", read_only=True)
    for owner, request in (("a", ask("vol")), ("b", alone), ("c", reader)):
        await volumes.acquire(f"container/{owner}", [request])
    await volumes.activate("container/a")
    with pytest.raises(VolumeInUse, match="container/a"):
        await volumes.activate("container/b")
    await volumes.activate("container/c")
    await volumes.deactivate("container/a")
    await volumes.activate("container/b")
    with pytest.raises(VolumeInUse, match="container/b"):
        await volumes.activate("container/a")
    await volumes.activate("container/b")


async def test_nobody_starts_with_a_volume_that_is_kept_still(volumes: Service) -> None:
    await volumes.create(CreateRequest(name="one"))
    await volumes.create(CreateRequest(name="two"))
    async with volumes.use_lock.still("one"):
        await volumes.acquire(OWNER, [ask("two", "/a"), ask("one", "/b")])
        await volumes.activate(OWNER, "/a")
        starting = asyncio.ensure_future(volumes.activate(OWNER))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not starting.done()
        assert volumes.volumes.rows.mounted(OWNER) == ["two"]
    assert [mount.name for mount in await starting] == ["two", "one"]


async def test_the_first_of_two_fills(volumes: Service, tmp_path: Path) -> None:
    [one] = await volumes.acquire(OWNER, [ask("vol")])
    [two] = await volumes.acquire("container/2", [ask("vol")])
    fill(one, "one")
    fill(two, "two")
    assert await volumes.fill("container/2") == ["vol"]
    assert await volumes.fill(OWNER) == []
    assert contents(tmp_path) == ["two"]
    assert beside(tmp_path) == []


async def test_a_volume_of_a_started_container_is_left_alone(
    volumes: Service, tmp_path: Path
) -> None:
    await volumes.acquire(OWNER, [ask("vol")])
    [two] = await volumes.acquire("container/2", [ask("vol")])
    fill(two, "two")
    await volumes.activate(OWNER)
    assert await volumes.fill("container/2") == []
    assert contents(tmp_path) == []
    assert (await volumes.acquire("container/3", [ask("vol")]))[0].fill_path == ""
    # Acquiring again does not forget that its container may run.
    await volumes.acquire(OWNER, [ask("vol")])
    assert (await volumes.acquire("container/3", [ask("vol")]))[0].fill_path == ""
    await volumes.release(OWNER, remove_anonymous=True)
    assert (await volumes.acquire("container/3", [ask("vol")]))[0].fill_path != ""


async def test_content_that_came_meanwhile_stays(volumes: Service, tmp_path: Path) -> None:
    [mount] = await volumes.acquire(OWNER, [ask("vol")])
    fill(mount, "file")
    (tmp_path / "volumes/vol/_data/of-an-administrator").touch()
    assert await volumes.fill(OWNER) == []
    assert contents(tmp_path) == ["of-an-administrator"]
    assert beside(tmp_path) == []


async def test_half_a_copy_never_shows(volumes: Service, tmp_path: Path) -> None:
    [mount] = await volumes.acquire(OWNER, [ask("vol")])
    Path(f"{mount.fill_path}.part").mkdir()
    assert await volumes.fill(OWNER) == []
    assert contents(tmp_path) == []
    assert (await volumes.acquire("container/2", [ask("vol")]))[0].fill_path != ""


@pytest.mark.parametrize("way", ["release", "reconcile"])
async def test_what_was_offered_goes_with_its_owner(
    volumes: Service, tmp_path: Path, way: str
) -> None:
    [mount] = await volumes.acquire(OWNER, [ask("vol")])
    await volumes.reconcile(set())
    assert Path(mount.fill_path).parent.is_dir()  # its owner may yet fill it
    if way == "release":
        await volumes.release(OWNER, remove_anonymous=True)
    else:
        await volumes.reconcile({OWNER})
    assert beside(tmp_path) == []


async def test_volumes_with_options_are_not_filled(volumes: Service) -> None:
    await volumes.create(CreateRequest(name="vol", options={"type": "tmpfs", "device": "tmpfs"}))
    assert (await volumes.acquire(OWNER, [ask("vol")]))[0].fill_path == ""


async def test_a_link_in_the_place_of_a_volume(volumes: Service, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    [mount] = await volumes.acquire(OWNER, [ask("vol")])
    fill(mount, "file")
    (tmp_path / "volumes/vol/_data").rmdir()
    (tmp_path / "volumes/vol/_data").symlink_to(tmp_path / "host")
    assert await volumes.fill(OWNER) == []
    assert os.listdir(tmp_path / "host") == []
