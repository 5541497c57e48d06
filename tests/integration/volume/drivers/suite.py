"""The contract of `scow.volume.drivers.base`, as tests that every driver passes.

A driver's test module makes a class of `DriverSuite` and says in `case` what it is about. Where drivers differ, their
capabilities are asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scow.contract.errors import InvalidArgument
from scow.volume.drivers import Driver, Source
from scow.volume.store import Volume

ONE, TWO = "container/1", "container/2"


@dataclass(frozen=True)
class Case:
    """A driver under test.

    Attributes:
        make: Makes one over a folder that stays from one driver to the next, with what it needs around it.
        options: Of its volumes.
        bad: An option that it refuses.
    """

    make: Callable[[Path], AbstractAsyncContextManager[Driver]]
    options: Mapping[str, str] = field(default_factory=dict)
    bad: tuple[str, str] = ("nonsense", "1")


class Stage:
    """A driver and its volumes."""

    def __init__(self, case: Case, folder: Path, driver: Driver) -> None:
        self._case = case
        self.folder = folder
        self.driver = driver

    def volume(self, name: str = "data") -> Volume:
        """Return the record of a volume."""
        return Volume(name, "driver", 1, options=dict(self._case.options))

    async def made(self, name: str = "data") -> Volume:
        """Return a volume that was created."""
        volume = self.volume(name)
        await self.driver.create(volume)
        return volume

    def here(self, source: Source) -> Path | None:
        """Return the directory of a source that is one of this host's, None for a file system."""
        return Path(source.source) if source.type == "bind" else None


class DriverSuite:
    """The tests."""

    case: Case

    @pytest.fixture
    async def stage(self, tmp_path: Path) -> AsyncIterator[Stage]:
        async with self.case.make(tmp_path) as driver:
            yield Stage(self.case, tmp_path, driver)
            await driver.close()

    async def test_a_mounted_volume_has_a_source(self, stage: Stage) -> None:
        source = await stage.driver.mount(await stage.made(), ONE)
        assert source.type
        directory = stage.here(source)
        if directory is not None:
            assert directory.is_absolute()
            assert directory.is_dir()
            assert not source.once
        await stage.driver.unmount(stage.volume(), ONE)

    async def test_everything_may_be_done_again(self, stage: Stage) -> None:
        volume = await stage.made()
        first = await stage.driver.mount(volume, ONE)
        self._write(stage, first)
        await stage.driver.create(volume)
        assert await stage.driver.mount(volume, ONE) == first
        self._expect(stage, first)
        for _ in range(2):
            await stage.driver.unmount(volume, ONE)
        for _ in range(2):
            await stage.driver.remove(volume)

    async def test_what_was_never_there_is_no_error(self, stage: Stage) -> None:
        await stage.driver.unmount(stage.volume(), ONE)
        await stage.driver.remove(stage.volume())
        stage.driver.path(stage.volume())
        stage.driver.folder(stage.volume())
        assert await stage.driver.reconcile([]) == []

    async def test_owners_are_independent(self, stage: Stage) -> None:
        volume = await stage.made()
        one = await stage.driver.mount(volume, ONE)
        two = await stage.driver.mount(volume, TWO)
        self._write(stage, one)
        await stage.driver.unmount(volume, ONE)
        self._expect(stage, two)
        await stage.driver.unmount(volume, TWO)

    async def test_data_outlive_owners_and_drivers(self, stage: Stage) -> None:
        volume = await stage.made()
        self._write(stage, await stage.driver.mount(volume, ONE))
        await stage.driver.unmount(volume, ONE)
        async with self.case.make(stage.folder) as again:
            assert await again.reconcile([volume]) == []
            source = await again.mount(volume, TWO)
            self._expect(stage, source)
            await again.unmount(volume, TWO)

    async def test_a_removed_volume_comes_back_empty(self, stage: Stage) -> None:
        volume = await stage.made()
        self._write(stage, await stage.driver.mount(volume, ONE))
        await stage.driver.unmount(volume, ONE)
        await stage.driver.remove(volume)
        if stage.driver.folder(volume) is None:
            return  # what is elsewhere is not the engine's to delete
        source = await stage.driver.mount(await stage.made(), ONE)
        directory = stage.here(source)
        assert directory is None or not list(directory.iterdir())
        await stage.driver.unmount(volume, ONE)

    async def test_volumes_are_apart(self, stage: Stage) -> None:
        sources = [await stage.driver.mount(await stage.made(name), ONE) for name in ("a1", "b1")]
        if stage.driver.folder(stage.volume()) is not None:
            assert sources[0].source != sources[1].source
        for name in ("a1", "b1"):
            await stage.driver.unmount(stage.volume(name), ONE)

    async def test_bad_options_are_refused_and_make_nothing(self, stage: Stage) -> None:
        name, value = self.case.bad
        volume = Volume("bad", "driver", 1, options={**self.case.options, name: value})
        with pytest.raises(InvalidArgument) as caught:
            await stage.driver.create(volume)
        assert caught.value.which == name
        assert await stage.driver.reconcile([]) == []

    async def test_reconciling_twice_finds_nothing(self, stage: Stage) -> None:
        volume = await stage.made()
        await stage.made("unrecorded")
        await stage.driver.reconcile([volume])
        assert await stage.driver.reconcile([volume]) == []

    async def test_the_folder_is_where_the_data_are(self, stage: Stage) -> None:
        volume = await stage.made()
        source = await stage.driver.mount(volume, ONE)
        folder = stage.driver.folder(volume)
        if folder is not None:
            assert stage.here(source) == folder
            assert stage.driver.path(volume) == str(folder)
        await stage.driver.unmount(volume, ONE)

    def _write(self, stage: Stage, source: Source) -> None:
        directory = stage.here(source)
        if directory is not None:
            (directory / "file").write_text("kept")

    def _expect(self, stage: Stage, source: Source) -> None:
        directory = stage.here(source)
        if directory is not None:
            assert (directory / "file").read_text() == "kept"
