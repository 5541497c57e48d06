"""What of content is synced."""

from __future__ import annotations

import os
from pathlib import Path

from scow.volume.staging import files_of


def test_files_and_folders_are_synced_while_they_are_few(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "a/fifo")
    (tmp_path / "a/link").symlink_to("/etc/passwd")
    (tmp_path / "a/folder").symlink_to("/etc")
    expected = {tmp_path, *(tmp_path / name for name in ("one", "a", "a/two", "a/b", "a/b/three"))}
    found = files_of(tmp_path, 6)
    assert found is not None
    assert set(map(Path, found)) == expected
    assert files_of(tmp_path, 5) is None


def test_paths_that_are_too_long(tmp_path: Path) -> None:
    start = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    try:
        for _ in range(30):
            os.mkdir("x" * 200)
            os.chdir("x" * 200)
    finally:
        os.fchdir(start)
        os.close(start)
    assert files_of(tmp_path, 64) is None
