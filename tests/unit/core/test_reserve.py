"""Room for databases on full disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.core import disk, reserve
from scow.core.reserve import Reserve
from scow.core.store import Store


def test_it_is_given_up_on_a_full_disk_and_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reserve"
    free = 1 << 30
    monkeypatch.setattr(disk, "free", lambda folder: free)
    kept = Reserve(path)
    kept.balance()
    assert path.stat().st_blocks * 512 >= reserve.SIZE
    free = 1000
    kept.balance()
    assert not path.exists()
    kept.balance()
    free = 2 * reserve.SIZE
    kept.balance()  # not yet: it would fill the disk itself
    assert not path.exists()
    free = 1 << 30
    Reserve(path).balance()
    assert path.exists()
    free = 0
    Reserve(path).balance()  # of a service that was restarted
    assert not path.exists()


def test_one_that_a_killed_process_left_unfinished_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    path.touch()
    Reserve(path).balance()
    assert path.stat().st_blocks * 512 >= reserve.SIZE


def test_a_database_has_one(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "some.db", ())
    with store.transaction():
        pass
    store.close()
    assert (tmp_path / "some.db.reserve").stat().st_size == reserve.SIZE
