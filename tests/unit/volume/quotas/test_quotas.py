"""Limits that are put into force again; what file systems make of them is tested where one has project quotas (vm)."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.api.volume.v1.quota_pb2 import SetLimitsRequest
from scow.api.volume.v1.volume_pb2 import CreateRequest
from scow.contract.errors import InvalidArgument, NameInUse, VolumeNotLocal
from scow.core.config import VolumeSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.kernel import project_quota
from scow.kernel.project_quota import Usage
from scow.volume import drivers
from scow.volume.directories import Directories
from scow.volume.plugins.plugins import Plugins
from scow.volume.quotas.quotas import Quotas
from scow.volume.quotas.store import Quota, QuotaStore
from scow.volume.store import MIGRATIONS
from scow.volume.volumes import Volumes

PROJECT = 1 << 24


class Limited:
    """A file system with project quotas, which this machine's have not: limits by project, projects by directory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limits: dict[int, tuple[int, int]] = {}
        self._projects: dict[int, int] = {}
        self.full = False
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        for name in ("enforced", "usage", "project_of", "set_limits", "assign"):
            monkeypatch.setattr(project_quota, name, getattr(self, name))

    def enforced(self, fd: int) -> bool:
        return True

    def usage(self, fd: int, project: int) -> Usage:
        size, inodes = self.limits.get(project, (0, 0))
        return Usage(size, inodes, 0, 0)

    def project_of(self, fd: int) -> int:
        return self._projects.get(os.fstat(fd).st_ino, 0)

    def set_limits(self, fd: int, project: int, size: int, inodes: int) -> None:
        self.limits[project] = (size, inodes)

    def assign(self, fd: int, project: int) -> None:
        self.begun.set()
        self.go_on.wait()
        if self.full:
            raise OSError(errno.EDQUOT, "full")
        self._projects[os.fstat(fd).st_ino] = project


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Limited:
    return Limited(monkeypatch)


class Service:
    """Volumes with limits."""

    def __init__(self, store: Store, folder: Path) -> None:
        journal = Journal(store, "test", 1000)
        plugins = Plugins(VolumeSection(plugin_dirs=()), store, journal)
        self.store = store
        self.directories = Directories(folder)
        self.volumes = Volumes(store, journal, drivers.make(self.directories, plugins))
        self.quotas = Quotas(store, journal, self.volumes)

    def record(self, *quotas: Quota) -> None:
        with self.store.transaction() as tx:
            for quota in quotas:
                QuotaStore.put(tx, quota)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = Store.open(tmp_path / "volume.db", MIGRATIONS)
    yield Service(store, tmp_path)
    store.close()


async def test_limits_that_change_meanwhile_are_not_put_back(
    service: Service, disk: Limited
) -> None:
    await service.volumes.create(CreateRequest(name="data"))
    service.record(Quota("data", PROJECT, 1 << 20, 10))
    for put_into_force in (service.quotas.reconcile, lambda: service.quotas.apply("data")):
        async with service.volumes.lock("data"):
            under_way = asyncio.ensure_future(put_into_force())
            await asyncio.sleep(0)
            service.record(Quota("data", PROJECT + 1, 2 << 20, 20))
        await under_way
        assert disk.limits == {PROJECT + 1: (2 << 20, 20)}
        disk.limits.clear()
        service.record(Quota("data", PROJECT, 1 << 20, 10))


async def test_one_that_cannot_be_limited_keeps_no_other_from_it(
    service: Service, disk: Limited
) -> None:
    await service.volumes.create(CreateRequest(name="aa"))
    await service.volumes.create(CreateRequest(name="bb"))
    service.record(Quota("aa", PROJECT, 0, 10), Quota("bb", PROJECT + 1, 0, 20))
    with service.store.transaction() as tx:
        service.volumes.rows.begin_removal(tx, "aa")
    assert [action.object for action in await service.quotas.reconcile()] == ["volume/bb"]
    assert disk.limits == {PROJECT + 1: (0, 20)}
    assert await service.quotas.reconcile() == []


@pytest.mark.parametrize(
    "request_",
    [
        CreateRequest(name="data", size=10 << 20),
        CreateRequest(name="data", size=10 << 20, options={"size": "99m"}),
        CreateRequest(name="data", options={"size": "10m"}),
        CreateRequest(name="data", options={"size": "10MiB"}),
    ],
)
async def test_a_volume_is_made_with_limits(
    service: Service, disk: Limited, request_: CreateRequest
) -> None:
    await service.volumes.create(request_)
    assert list(disk.limits.values()) == [(10 << 20, 0)]
    limits = service.quotas.describe("data")
    assert limits is not None
    assert limits.size == 10 << 20
    assert await service.quotas.reconcile() == []
    assert (await service.volumes.create(request_)).name == "data"
    assert (await service.volumes.create(CreateRequest(name="data"))).name == "data"
    with pytest.raises(NameInUse, match="limits"):
        await service.volumes.create(CreateRequest(name="data", size=11 << 20))


@pytest.mark.parametrize("size", ["nothing", "-1", "1e308p", "9000p", "nan", "1x"])
async def test_sizes_that_are_none(service: Service, disk: Limited, size: str) -> None:
    with pytest.raises(InvalidArgument, match="size"):
        await service.volumes.create(CreateRequest(name="data", options={"size": size}))
    assert service.volumes.rows.all() == []


async def test_what_cannot_be_limited_is_not_made(service: Service, disk: Limited) -> None:
    with pytest.raises(InvalidArgument, match="size"):
        options = {"type": "tmpfs", "device": "tmpfs", "size": "10m"}
        await service.volumes.create(CreateRequest(name="data", options=options))
    del options["size"]
    with pytest.raises(VolumeNotLocal):
        await service.volumes.create(CreateRequest(name="data", options=options, inodes=5))
    disk.full = True
    with pytest.raises(OSError, match="full"):
        await service.volumes.create(CreateRequest(name="data", size=1 << 20))
    assert service.volumes.rows.all() == []
    assert service.directories.names() == set()
    disk.full = False
    await service.volumes.create(CreateRequest(name="data"))
    assert service.quotas.describe("data") is None


@pytest.mark.parametrize("created", [True, False])
async def test_who_goes_away_closes_no_folder_that_is_worked_on(
    service: Service, disk: Limited, created: bool
) -> None:
    work: Coroutine[Any, Any, object]
    if created:
        work = service.volumes.create(CreateRequest(name="data", size=1 << 20))
    else:
        await service.volumes.create(CreateRequest(name="data"))
        work = service.quotas.set(SetLimitsRequest(volume="data", size=1 << 20))
    disk.go_on.clear()
    going = asyncio.ensure_future(work)
    await asyncio.to_thread(disk.begun.wait)
    before = os.listdir("/proc/self/fd")
    going.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    open_still = os.listdir("/proc/self/fd")
    disk.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert open_still == before
    assert service.directories.names() == (set() if created else {"data"})
