"""Deleting trees of any shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scow.core import disk
from scow.kernel import trees
from scow.kernel.trees import remove_tree, statuses

# More than there are descriptors and frames; with names of five bytes also more than a path may be long.
_LEVELS = 1100


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Nested directories, with a file in each."""
    base = tmp_path / "t"
    base.mkdir()
    descriptor = os.open(base, os.O_RDONLY)
    for _ in range(_LEVELS):
        os.mkdir("deep", dir_fd=descriptor)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        inner = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    return base


def test_deeper_than_the_limits_of_paths_and_descriptors(deep: Path) -> None:
    assert 1500 < len(list(statuses(deep))) < 2 * _LEVELS, "a path reaches that deep"
    remove_tree(deep)
    assert not deep.exists()


def test_measuring_counts_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5000)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").symlink_to("/")
    size, inodes = disk.usage(tmp_path)
    assert (5000 <= size < 6000, inodes) == (True, 2)


def test_more_names_than_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_BATCH", 3)
    (tmp_path / "t/sub").mkdir(parents=True)
    for index in range(10):
        (tmp_path / f"t/sub/{index}").touch()
        (tmp_path / f"t/{index}").mkdir()
    remove_tree(tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_modes_that_keep_the_owner_out(tmp_path: Path) -> None:
    (tmp_path / "t/locked/inner").mkdir(parents=True)
    (tmp_path / "t/locked/file").touch()
    for name in ("t/locked/inner", "t/locked", "t"):
        (tmp_path / name).chmod(0)
    remove_tree(tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "t").mkdir()
    (tmp_path / "t/link").symlink_to("../kept")
    remove_tree(tmp_path / "t")
    assert (tmp_path / "kept/file").exists()
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(OSError, match="link"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept/file").exists()


def test_relative_to_a_directory_and_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "t/sub").mkdir(parents=True)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    remove_tree(b"t", dir_fd=descriptor)
    remove_tree("t", dir_fd=descriptor)
    os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_measuring_follows_no_link_that_comes_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").touch()
    (tmp_path / "tree/inner").mkdir(parents=True)
    (tmp_path / "tree/inner/file").touch()
    found = statuses(tmp_path / "tree")
    seen = [next(found)]
    (tmp_path / "tree/inner").rename(tmp_path / "moved")
    (tmp_path / "tree/inner").symlink_to(tmp_path / "host")
    seen += found
    assert [status.st_ino for status in seen] == [(tmp_path / "moved").stat().st_ino]
