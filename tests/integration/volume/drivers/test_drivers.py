"""Every driver, by the suite."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scow.contract.errors import InvalidArgument, PluginRefused
from scow.core.config import VolumeSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.kernel.hostpath import CHECKED
from scow.volume.directories import Directories
from scow.volume.drivers import Driver, LocalDriver, Source
from scow.volume.plugins.plugins import Plugins
from scow.volume.store import MIGRATIONS, Volume
from tests.integration.volume.drivers.suite import Case, DriverSuite, Stage
from tests.support.volumeplugin import VolumePlugin


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Driver]:
    yield LocalDriver(Directories(folder))


class TestLocal(DriverSuite):
    case = Case(local)


@asynccontextmanager
async def plugin(folder: Path) -> AsyncIterator[Driver]:
    process = VolumePlugin(folder / "plugins", "tmp")
    # A further driver is of the same plugin.
    with contextlib.nullcontext() if process.socket.exists() else process:
        store = Store.open(folder / "volume.db", MIGRATIONS)
        settings = VolumeSection(plugin_dirs=(str(folder / "plugins"),))
        yield Plugins(settings, store, Journal(store, "test", 100)).driver("tmp")
        store.close()


class TestPlugin(DriverSuite):
    case = Case(plugin, bad=("bad", "1"))

    async def test_bad_options_are_refused_and_make_nothing(self, stage: Stage) -> None:
        """Options are the plugin's: it says in a sentence of its own what is wrong."""
        volume = Volume("bad", "driver", 1, options={"bad": "1"})
        with pytest.raises(PluginRefused, match="no such option: bad"):
            await stage.driver.create(volume)
        await stage.driver.remove(volume)


class TestLocalFileSystem(DriverSuite):
    case = Case(local, {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"o": "bind"}, 'missing required option: "device"'),
        ({"foo": "bar"}, 'invalid option: "foo"'),
    ],
)
async def test_options_are_refused_in_dockers_words(
    tmp_path: Path, options: dict[str, str], fault: str
) -> None:
    async with local(tmp_path) as driver:
        with pytest.raises(InvalidArgument, match=f"create vol: {fault}"):
            await driver.create(Volume("vol", "local", 1, options=options))


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,,uid=5"},
            Source("tmpfs", "tmpfs", ("size=1m", "uid=5"), once=True),
        ),
        ({"type": "none", "device": "/x"}, Source("bind", "/x", ("rbind", CHECKED))),
        (
            {"type": "none", "device": "/x", "o": "bind,ro"},
            Source("bind", "/x", ("bind", "ro", CHECKED)),
        ),
        ({"type": "ext4", "device": "/x", "o": "rbind"}, Source("bind", "/x", ("rbind", CHECKED))),
        ({"type": "", "device": "/x", "o": ""}, Source("bind", "/x", ("rbind", CHECKED))),
    ],
)
async def test_sources_of_options(tmp_path: Path, options: dict[str, str], source: Source) -> None:
    async with local(tmp_path) as driver:
        volume = Volume("vol", "local", 1, options=options)
        await driver.create(volume)
        assert await driver.mount(volume, "container/1") == source
