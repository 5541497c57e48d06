"""Every driver, by the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scow.contract.errors import InvalidArgument
from scow.volume.directories import Directories
from scow.volume.drivers import Driver, LocalDriver, Source
from scow.volume.store import Volume
from tests.integration.volume.drivers.suite import Case, DriverSuite


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Driver]:
    yield LocalDriver(Directories(folder))


class TestLocal(DriverSuite):
    case = Case(local)


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
        ({"type": "none", "device": "/x"}, Source("bind", "/x", ("rbind",))),
        ({"type": "none", "device": "/x", "o": "bind,ro"}, Source("bind", "/x", ("bind", "ro"))),
        ({"type": "ext4", "device": "/x", "o": "rbind"}, Source("bind", "/x", ("rbind",))),
        ({"type": "", "device": "/x", "o": ""}, Source("bind", "/x", ("rbind",))),
    ],
)
async def test_sources_of_options(tmp_path: Path, options: dict[str, str], source: Source) -> None:
    async with local(tmp_path) as driver:
        volume = Volume("vol", "local", 1, options=options)
        await driver.create(volume)
        assert await driver.mount(volume, "container/1") == source
