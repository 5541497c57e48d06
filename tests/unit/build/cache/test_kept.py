"""What of the cache is kept while builds use it, and what goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.layer_pb2 import Layer
from scow.api.image.v1.store_pb2 import Lease
from scow.build.cache.mounts import CacheMounts
from scow.build.cache.policy import CachePolicy
from scow.build.cache.prune import Pruner
from scow.build.cache.records import Cache
from scow.build.context.directory import Directories
from scow.build.context.files import FileTree, tree_of_data
from scow.build.context.session import Session
from scow.build.folders import Folders
from scow.build.frontend.steps import RunStep, Source, StageSource, StepMount
from scow.build.graph.mounts import StepMounts
from scow.build.peers.images import Images
from scow.build.peers.layers import LABEL, Layers
from scow.build.reconcile import Reconciler
from scow.build.store import MIGRATIONS, BuildStore
from scow.core.config import BuildSection
from scow.core.store import Store
from scow.words.dockerfile.syntax import Mount


class Leases:
    """The image service's leases, as they are on the wire."""

    def __init__(self) -> None:
        self.found: dict[str, Lease] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    async def leases(self) -> dict[str, Lease]:
        found = dict(self.found)
        self.meanwhile()
        return found

    async def release(self, lease: str) -> None:
        del self.found[lease]


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[BuildStore]:
    store = Store.open(tmp_path / "store.db", MIGRATIONS)
    yield BuildStore(store)
    store.close()


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def cache(rows: BuildStore, leases: Leases) -> Cache:
    return Cache(rows, cast(Layers, leases))


def add(leases: Leases, name: str, key: str) -> None:
    leases.found[name] = Lease.FromString(Lease(id=name, labels={LABEL: key}).SerializeToString())


async def test_a_lease_whose_record_is_about_to_be_written_stays(
    cache: Cache, leases: Leases
) -> None:
    add(leases, "new", "key")
    add(leases, "stray", "other")
    with cache.using("key"):
        await cache.reconcile()
    assert set(leases.found) == {"new"}


async def test_a_record_that_is_written_while_leases_are_listed_stays(
    cache: Cache, rows: BuildStore, leases: Leases
) -> None:
    add(leases, "before", "one")
    await cache.put("one", Layer(diff_id="1"), "before", "regular", "RUN one")
    before = rows.records()[0]

    def meanwhile() -> None:
        add(leases, "after", "two")
        with rows.transaction() as tx:
            rows.put_record(tx, type(before)(**{**vars(before), "key": "two", "lease": "after"}))

    leases.meanwhile = meanwhile
    assert await cache.reconcile() == []
    assert {record.key for record in rows.records()} == {"one", "two"}


async def test_a_layer_that_another_build_uses_outlives_its_record(
    cache: Cache, leases: Leases
) -> None:
    """One build has a result from the cache, another one, without the cache, makes it anew."""
    for name in ("old", "new"):
        add(leases, name, "key")
    await cache.put("key", Layer(diff_id="1"), "old", "regular", "RUN one")
    with cache.using("key"):
        with cache.using("key"):
            await cache.put("key", Layer(diff_id="2"), "new", "regular", "RUN one")
        assert set(leases.found) == {"old", "new"}
    await cache.reconcile()
    assert set(leases.found) == {"new"}


async def test_a_context_that_came_into_use_is_not_pruned(
    cache: Cache, rows: BuildStore, tmp_path: Path
) -> None:
    directories = Directories(tmp_path)
    (directories.folder / "one").mkdir()
    with rows.transaction() as tx:
        rows.put_context(tx, "one", 1, 1)
    mounts = CacheMounts(tmp_path, rows)
    pruner = Pruner(rows, cache, directories, mounts, cast(Layers, None), cast(Images, None))
    record = pb.CacheRecord(id="one", type="source.local")
    async with directories._locks.setdefault("one", asyncio.Lock()):
        assert not await pruner.remove(record)
    assert rows.contexts()
    assert await pruner.remove(record)
    assert not rows.contexts()
    assert directories.numbers() == set()


async def test_what_is_made_anew_while_it_is_removed_stays(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    (tmp_path / "one/old").mkdir(parents=True)
    removing = asyncio.ensure_future(folders.remove("one"))
    await asyncio.sleep(0)
    (tmp_path / "one/new").mkdir(parents=True)
    assert folders.names() == {"one"}
    await removing
    assert [path.name for path in tmp_path.rglob("*")] == ["one", "new"]


async def test_folders_without_records_go(cache: Cache, rows: BuildStore, tmp_path: Path) -> None:
    directories, mounts = Directories(tmp_path), CacheMounts(tmp_path, rows)
    async with mounts.using("kept", "shared"):
        pass
    for stray in (directories.folder / "stray", mounts.path("stray.of-a-killed-service")):
        stray.mkdir()
        (stray / "file").touch()

    async def nothing() -> dict[str, str]:
        return {}

    builds = SimpleNamespace(reconcile=list, running={})
    containers = SimpleNamespace(of_builds=nothing)
    pruner = Pruner(rows, cache, directories, mounts, cast(Layers, None), cast(Images, None))
    policy = CachePolicy(tmp_path, BuildSection(), pruner, cast(Layers, None))
    parts: tuple[Any, ...] = (builds, cache, containers, directories, mounts, rows, set(), policy)
    actions = await Reconciler(*parts).reconcile()
    assert [a.object for a in actions] == ["context/stray", "mount/stray.of-a-killed-service"]
    assert directories.numbers() == set()
    assert mounts.strays() == []
    assert len(rows.mounts()) == 1


async def test_two_steps_make_a_cache_at_once(rows: BuildStore, tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def tree(source: Source, paths: Sequence[str]) -> FileTree:
        await both.wait()
        return tree_of_data([(b"f", b"content")], 0)

    mount = Mount(type="cache", id="c", sharing="shared", read_only=False)
    step = cast(
        RunStep,
        SimpleNamespace(mounts=(StepMount(mount, StageSource(0), "/cache"),), scripts=()),
    )
    ready = StepMounts(CacheMounts(tmp_path, rows), tmp_path / "work", tmp_path / "run")

    async def use() -> str:
        async with ready.ready(step, cast(Session, None), tree) as mounted:
            source = mounted.mounts[0].source
            assert (Path(source) / "f").read_bytes() == b"content"
            return source

    one, other = await asyncio.gather(use(), use())
    assert one == other
    assert list((tmp_path / "work").iterdir()) == []
