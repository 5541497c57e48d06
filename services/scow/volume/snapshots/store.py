"""The tables of snapshots.

::

    snapshots  volume, name (key) | created_ns | labels | size | shared | frozen
    former     folder (key) | volume | time_ns | owners      content that running containers still have mounted

Labels are a JSON object, owners a JSON list. A snapshot's row is written after its folder exists, and deleted before
the folder goes. The row of former content is written before the content gets there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from scow.core.store import Store

MIGRATION = """
    CREATE TABLE snapshots (
        volume TEXT NOT NULL REFERENCES volumes(name),
        name TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        labels TEXT NOT NULL,
        size INTEGER NOT NULL,
        shared INTEGER NOT NULL,
        frozen INTEGER NOT NULL,
        PRIMARY KEY (volume, name)
    );
    CREATE TABLE former (
        folder TEXT PRIMARY KEY,
        volume TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        owners TEXT NOT NULL
    );
"""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as it is recorded."""

    volume: str
    name: str
    created_ns: int
    labels: dict[str, str] = field(default_factory=dict)
    size: int = 0
    shared: bool = False
    frozen: bool = False


@dataclass(frozen=True)
class Former:
    """What a volume had before it was restored, and who may still have it mounted.

    Attributes:
        folder: Its name below `former/`.
        volume: Of which volume.
        time_ns: When it was replaced: a container that was started later does not have it.
        owners: Who ran then.
    """

    folder: str
    volume: str
    time_ns: int
    owners: tuple[str, ...]


class SnapshotStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, volume: str, name: str) -> Snapshot | None:
        """Return a snapshot, or None."""
        query = "SELECT * FROM snapshots WHERE volume = ? AND name = ?"
        row = self._store.one(query, (volume, name))
        return _snapshot(row) if row else None

    def all(self, volume: str = "") -> list[Snapshot]:
        """Return the snapshots of a volume, or all, by volume and time."""
        query = "SELECT * FROM snapshots WHERE ? IN ('', volume) ORDER BY volume, created_ns, name"
        return [_snapshot(row) for row in self._store.all(query, (volume,))]

    @staticmethod
    def insert(tx: sqlite3.Connection, snapshot: Snapshot) -> None:
        """Record a snapshot."""
        tx.execute(
            "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                snapshot.volume,
                snapshot.name,
                snapshot.created_ns,
                json.dumps(snapshot.labels),
                snapshot.size,
                snapshot.shared,
                snapshot.frozen,
            ),
        )

    @staticmethod
    def delete(tx: sqlite3.Connection, volume: str, name: str) -> None:
        """Forget a snapshot."""
        tx.execute("DELETE FROM snapshots WHERE volume = ? AND name = ?", (volume, name))

    def former(self) -> list[Former]:
        """Return all former content."""
        return [
            Former(row["folder"], row["volume"], row["time_ns"], tuple(json.loads(row["owners"])))
            for row in self._store.all("SELECT * FROM former ORDER BY time_ns")
        ]

    @staticmethod
    def keep(tx: sqlite3.Connection, former: Former) -> None:
        """Record former content."""
        tx.execute(
            "INSERT INTO former VALUES (?, ?, ?, ?)",
            (former.folder, former.volume, former.time_ns, json.dumps(former.owners)),
        )

    @staticmethod
    def drop(tx: sqlite3.Connection, folders: Sequence[str]) -> None:
        """Forget former content."""
        tx.executemany("DELETE FROM former WHERE folder = ?", [(folder,) for folder in folders])


def _snapshot(row: sqlite3.Row) -> Snapshot:
    return Snapshot(
        volume=row["volume"],
        name=row["name"],
        created_ns=row["created_ns"],
        labels=json.loads(row["labels"]),
        size=row["size"],
        shared=bool(row["shared"]),
        frozen=bool(row["frozen"]),
    )
