"""One SQLite database for each service, written by that service alone.

Every database has, beside the tables that the service's own `store.py` draws::

    schema(part, version)      which migrations were applied, for "core" and for "service"
    journal(revision, ...)     see scow.core.journal
    requests(request_id, ...)  see scow.core.requests

WAL with synchronous=NORMAL: a commit survives the death of any process; a power cut may take back the last
commits, never tear one. Calls take tens of microseconds and run on the event loop on purpose.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scow.core import disk
from scow.core.reserve import Reserve

CORE_MIGRATIONS = (
    """
    CREATE TABLE journal (
        revision INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ns INTEGER NOT NULL,
        actor TEXT NOT NULL,
        object_type TEXT NOT NULL,
        object_id TEXT NOT NULL,
        action TEXT NOT NULL,
        attributes TEXT NOT NULL
    );
    CREATE TABLE requests (
        request_id TEXT PRIMARY KEY,
        method TEXT NOT NULL,
        digest BLOB NOT NULL,
        response BLOB NOT NULL,
        time_ns INTEGER NOT NULL
    );
    CREATE INDEX requests_time ON requests(time_ns);
    """,
)


class Store:
    """A service's database."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._reserve = Reserve(path.with_name(f"{path.name}.reserve"))

    @classmethod
    def open(cls, path: Path, migrations: Sequence[str]) -> Store:
        """Open the database, making or migrating it.

        Args:
            path: The database's file; its folder is made.
            migrations: The service's migrations, SQL scripts in order; an applied one never changes.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        old_umask = os.umask(0o077)
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        finally:
            os.umask(old_umask)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema (part TEXT PRIMARY KEY, version INTEGER NOT NULL)"
        )
        store = cls(connection, path)
        store._migrate("core", CORE_MIGRATIONS)
        store._migrate("service", migrations)
        return store

    def _migrate(self, part: str, migrations: Sequence[str]) -> None:
        row = self.one("SELECT version FROM schema WHERE part = ?", (part,))
        version = row["version"] if row else 0
        if version > len(migrations):
            raise RuntimeError(
                f"{self.path} is at {part} version {version}, newer than this program's {len(migrations)}"
            )
        for number in range(version, len(migrations)):
            with self.transaction() as tx:
                for statement in _statements(migrations[number]):
                    tx.execute(statement)
                tx.execute("INSERT OR REPLACE INTO schema VALUES (?, ?)", (part, number + 1))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in one write transaction: committed at its end, rolled back if it raises.

        The block must not await: there is one connection.

        Raises:
            DiskFull: No space is left for the database.
            ReadOnlyStorage: Its file system is read-only.
        """
        self._reserve.balance()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if "disk is full" in str(error):
                raise disk.full(self.path.parent) from error
            if "readonly database" in str(error):
                raise disk.read_only(self.path.parent) from error
            raise

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def close(self) -> None:
        """Close the database; open transactions are rolled back."""
        self._connection.close()


def _statements(script: str) -> Iterator[str]:
    """Split a script; executescript() would commit the transaction around it."""
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            if pending.strip(" \n;"):
                yield pending
            pending = ""
