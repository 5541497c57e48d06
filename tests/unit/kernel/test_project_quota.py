"""Trees that are assigned to a project. Project 0 can be had on any ext4; limits are tested in tests/vm."""

from __future__ import annotations

import multiprocessing
import os
import resource
from pathlib import Path

import pytest

from scow.kernel import project_quota, trees
from tests.support.deep import deep

_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT


def inherits(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return bool(project_quota._attributes(fd)[0] & _INHERIT)
    finally:
        os.close(fd)


def assign(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        project_quota.assign(fd, 0)
    finally:
        os.close(fd)


def assign_with_few_descriptors(folder: Path) -> None:
    most = len(os.listdir("/proc/self/fd")) + 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assign(folder)


def test_many_directories_side_by_side_and_below_each_other(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}/inner").mkdir(parents=True)
    (tmp_path / "deep").mkdir()
    deep(tmp_path / "deep", 600)
    (tmp_path / "link").symlink_to("/")
    os.mkfifo(tmp_path / "fifo")
    process = multiprocessing.get_context("spawn").Process(
        target=assign_with_few_descriptors, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert inherits(tmp_path)
    assert all(inherits(path) for path in tmp_path.glob("[0-9]*"))
    assert all(inherits(path) for path in tmp_path.glob("[0-9]*/inner"))
    trees.remove_tree(tmp_path / "deep")


def test_no_descriptor_is_left_open_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        (tmp_path / str(number)).mkdir()
    done: list[int] = []

    def refuse(fd: int, project: int, *, inherit: bool) -> None:
        done.append(fd)
        if len(done) > 4:
            raise PermissionError

    monkeypatch.setattr(project_quota, "_assign", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(PermissionError):
        assign(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_is_moved_meanwhile_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "stranger/c").mkdir(parents=True)
    moved: list[str] = []
    real = project_quota._assign_entries

    def assign_entries(directory: int, project: int) -> list[str]:
        found = real(directory, project)
        if os.path.basename(os.readlink(f"/proc/self/fd/{directory}")) == "b" and not moved:
            moved.append("b")
            os.rename(tmp_path / "top/a/b", tmp_path / "stranger/b")
        return found

    monkeypatch.setattr(project_quota, "_assign_entries", assign_entries)
    assign(tmp_path / "top")
    assert moved
    assert not inherits(tmp_path / "stranger")
    assert not inherits(tmp_path / "stranger/c")
