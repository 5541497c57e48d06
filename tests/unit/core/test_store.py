import sqlite3
from pathlib import Path

import pytest

from scow.contract.errors import DiskFull
from scow.core.store import Store

ONE = "CREATE TABLE a (x INTEGER); CREATE TABLE b (y TEXT DEFAULT 'p;q');"
TWO = "ALTER TABLE a ADD COLUMN z INTEGER DEFAULT 5;"


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = Store.open(path, [ONE])
    with store.transaction() as tx:
        tx.execute("INSERT INTO a VALUES (1)")
        tx.execute("INSERT INTO b DEFAULT VALUES")
    store.close()
    store = Store.open(path, [ONE, TWO])
    row = store.one("SELECT x, z FROM a")
    assert row is not None
    assert tuple(row) == (1, 5)
    assert [r["y"] for r in store.all("SELECT y FROM b")] == ["p;q"]


def test_a_failed_migration_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with pytest.raises(sqlite3.OperationalError):
        Store.open(path, [ONE + "CREATE TABLE a (x);"])
    store = Store.open(path, [ONE])
    assert store.all("SELECT * FROM a") == []


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path / "s.db", [ONE, TWO]).close()
    with pytest.raises(RuntimeError, match="newer than this program"):
        Store.open(tmp_path / "s.db", [ONE])


def test_a_transaction_that_raises_changes_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.db", [ONE])
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        tx.execute("INSERT INTO a VALUES (1)")
        _ = 1 / 0
    assert store.all("SELECT * FROM a") == []
    with store.transaction() as tx:
        tx.execute("INSERT INTO a VALUES (2)")
    assert len(store.all("SELECT * FROM a")) == 1


def test_a_full_database_says_so(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.db", [ONE])
    store.one("PRAGMA max_page_count=20")
    with pytest.raises(DiskFull), store.transaction() as tx:
        for _ in range(1000):
            tx.execute("INSERT INTO b VALUES (?)", ("x" * 1000,))
    assert store.all("SELECT * FROM b") == []


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Store.open(tmp_path / "s.db", [])
    assert (tmp_path / "s.db").stat().st_mode & 0o777 == 0o600
