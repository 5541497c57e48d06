"""The contract of snapshotters: every driver passes the same tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scow.image.snapshots import Snapshotter
from scow.image.snapshots.overlay import Overlay


def _overlay(base: Path) -> Snapshotter:
    return Overlay(base, lambda number: base / "layers" / str(number))


DRIVERS: list[Callable[[Path], Snapshotter]] = [_overlay]


@pytest.fixture(params=DRIVERS, ids=lambda make: make.__name__.strip("_"))
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshotter:
    for number in (1, 2):
        folder = tmp_path / "layers" / str(number)
        folder.mkdir(parents=True)
        folder.chmod(0o750 if number == 2 else 0o755)
    made: Snapshotter = request.param(tmp_path)
    return made


def test_making_again_changes_nothing(driver: Snapshotter) -> None:
    driver.make(7, [1, 2])
    first = driver.mounts(7, [1, 2])
    driver.make(7, [1, 2])
    assert driver.mounts(7, [1, 2]) == first
    assert driver.numbers() == {7}


def test_a_fresh_snapshot_is_empty(driver: Snapshotter) -> None:
    driver.make(7, [1, 2])
    assert driver.usage(7) == (0, 0)


def test_snapshots_are_apart(driver: Snapshotter) -> None:
    driver.make(7, [1])
    driver.make(8, [1])
    assert driver.mounts(7, [1]) != driver.mounts(8, [1])
    driver.remove(7)
    assert driver.numbers() == {8}


def test_removing_what_is_not_there(driver: Snapshotter) -> None:
    driver.remove(99)
    assert driver.numbers() == set()


def test_no_layers(driver: Snapshotter) -> None:
    driver.make(7, [])
    assert driver.mounts(7, [])


def test_the_root_looks_like_the_topmost_layers(tmp_path: Path) -> None:
    (tmp_path / "layers/1").mkdir(parents=True)
    (tmp_path / "layers/1").chmod(0o701)
    driver = _overlay(tmp_path)
    driver.make(7, [1])
    assert (tmp_path / "snapshots/7/fs").stat().st_mode & 0o7777 == 0o701


def test_overlay_lists_the_topmost_layer_first(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"layers/{number}").mkdir(parents=True)
    driver = _overlay(tmp_path)
    driver.make(7, [1, 2])
    [mount] = driver.mounts(7, [1, 2])
    assert mount.options[0] == f"lowerdir={tmp_path}/layers/2:{tmp_path}/layers/1"


def test_usage_counts_hard_links_once_and_holes_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "layers/1").mkdir(parents=True)
    driver = _overlay(tmp_path)
    driver.make(7, [1])
    upper = tmp_path / "snapshots/7/fs"
    (upper / "one").write_bytes(bytes(10_000))
    (upper / "two").hardlink_to(upper / "one")
    with (upper / "hole").open("wb") as file:
        file.truncate(1 << 30)
    size, inodes = driver.usage(7)
    assert inodes == 2
    assert 10_000 <= size < 100_000


def test_a_layer_that_occurs_twice_counts_once_where_it_is_highest(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"layers/{number}").mkdir(parents=True)
    [mount] = _overlay(tmp_path).mounts(7, [1, 2, 1])
    assert mount.options[0] == f"lowerdir={tmp_path}/layers/1:{tmp_path}/layers/2"


def test_paths_with_the_options_own_characters(tmp_path: Path) -> None:
    base = tmp_path / "a:b,c\\d"
    base.mkdir()
    driver = _overlay(base)
    driver.make(7, [])
    [mount] = driver.mounts(7, [])
    assert mount.options[1] == f"upperdir={tmp_path}/a\\:b\\,c\\\\d/snapshots/7/fs"
