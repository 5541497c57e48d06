"""Folders of snapshots and the mounts that describe them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scow.api.types.v1.types_pb2 import Mount
from scow.image.layers.drivers import Lower
from scow.image.snapshots.folders import SnapshotFolders


def lower(path: Path | str, mode: int = 0o755) -> Lower:
    return Lower(Path(path), (), mode, 0, 0)


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotFolders:
    return SnapshotFolders(tmp_path)


STACK = [lower("/layers/1"), lower("/layers/2")]


def test_making_again_changes_nothing(snapshots: SnapshotFolders) -> None:
    snapshots.make(7, STACK)
    first = snapshots.mounts(7, STACK)
    snapshots.make(7, STACK)
    assert snapshots.mounts(7, STACK) == first
    assert snapshots.numbers() == {7}


def test_a_fresh_snapshot_is_empty(snapshots: SnapshotFolders) -> None:
    snapshots.make(7, STACK)
    assert snapshots.usage(7) == (0, 0)


def test_snapshots_are_apart(snapshots: SnapshotFolders) -> None:
    snapshots.make(7, STACK)
    snapshots.make(8, STACK)
    assert snapshots.mounts(7, STACK) != snapshots.mounts(8, STACK)
    snapshots.remove(7)
    assert snapshots.numbers() == {8}


def test_removing_what_is_not_there(snapshots: SnapshotFolders) -> None:
    snapshots.remove(99)
    assert snapshots.numbers() == set()


def test_no_layers(snapshots: SnapshotFolders, tmp_path: Path) -> None:
    snapshots.make(7, [])
    [mount] = snapshots.mounts(7, [])
    assert mount.options[0] == f"lowerdir={tmp_path}/init"


def test_the_init_layer_has_an_empty_file_that_all_may_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        SnapshotFolders(tmp_path)
        os.utime(tmp_path / "init/.dockerenv", (1, 1))
        SnapshotFolders(tmp_path)
    finally:
        os.umask(before)
    status = (tmp_path / "init/.dockerenv").stat()
    assert (status.st_size, status.st_mode & 0o7777, status.st_mtime) == (0, 0o755, 0)
    assert (tmp_path / "init").stat().st_mode & 0o7777 == 0o755
    assert os.listdir(tmp_path / "init") == [".dockerenv"]


def test_the_root_looks_like_the_topmost_layers(snapshots: SnapshotFolders, tmp_path: Path) -> None:
    snapshots.make(7, [lower("/layers/1"), lower("/layers/2", 0o701)])
    assert (tmp_path / "snapshots/7/fs").stat().st_mode & 0o7777 == 0o701


def test_the_topmost_layer_comes_first_and_the_init_layer_last(
    snapshots: SnapshotFolders, tmp_path: Path
) -> None:
    [mount] = snapshots.mounts(7, STACK)
    assert mount.options[0] == f"lowerdir=/layers/2:/layers/1:{tmp_path}/init"


def test_layers_that_are_file_systems_come_before_the_overlay(
    snapshots: SnapshotFolders, tmp_path: Path
) -> None:
    erofs = Mount(type="erofs", source="/layers/2/index", options=["device=/layers/2/tar"])
    mixed = [lower("/layers/1"), Lower(Path("/layers/2/index"), (erofs,), 0o755, 0, 0)]
    first, overlay = snapshots.mounts(7, mixed)
    assert first == erofs
    assert overlay.options[0] == f"lowerdir=/layers/2/index:/layers/1:{tmp_path}/init"


def test_a_layer_that_occurs_twice_counts_once_where_it_is_highest(
    snapshots: SnapshotFolders, tmp_path: Path
) -> None:
    [mount] = snapshots.mounts(7, [*STACK, STACK[0]])
    assert mount.options[0] == f"lowerdir=/layers/1:/layers/2:{tmp_path}/init"


def test_usage_counts_hard_links_once_and_holes_not_at_all(
    snapshots: SnapshotFolders, tmp_path: Path
) -> None:
    snapshots.make(7, STACK)
    upper = tmp_path / "snapshots/7/fs"
    (upper / "one").write_bytes(bytes(10_000))
    (upper / "two").hardlink_to(upper / "one")
    with (upper / "hole").open("wb") as file:
        file.truncate(1 << 30)
    size, inodes = snapshots.usage(7)
    assert inodes == 2
    assert 10_000 <= size < 100_000


def test_paths_with_the_options_own_characters(tmp_path: Path) -> None:
    base = tmp_path / "a:b,c\\d"
    base.mkdir()
    snapshots = SnapshotFolders(base)
    snapshots.make(7, [])
    [mount] = snapshots.mounts(7, [])
    assert mount.options[1] == f"upperdir={tmp_path}/a\\:b\\,c\\\\d/snapshots/7/fs"
