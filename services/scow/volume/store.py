"""The volume service's tables.

::

    volumes  name (key) | driver | created_ns | labels | options | anonymous | filled
    holds    owner, name (key) | active       who holds which volume; ends with Release

Labels and options are JSON objects. A volume's data is in `volumes/<name>/_data` under the service's folder. The row
is written after the folder exists and deleted before the folder goes: a folder without a row is a leftover.

`filled`: the volume has had content, of an image or of anybody; it is never filled (again). `active`: the owner's
container was started with the volume, so that it may have it mounted. Both never turn back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field

from scow.core.store import Store

MIGRATIONS = (
    """
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        driver TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        labels TEXT NOT NULL,
        options TEXT NOT NULL,
        anonymous INTEGER NOT NULL
    );
    CREATE TABLE holds (
        owner TEXT NOT NULL,
        name TEXT NOT NULL REFERENCES volumes(name),
        PRIMARY KEY (owner, name)
    );
    CREATE INDEX holds_name ON holds(name);
    """,
    # Who holds a volume already may have it mounted.
    """
    ALTER TABLE volumes ADD COLUMN filled INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE holds ADD COLUMN active INTEGER NOT NULL DEFAULT 0;
    UPDATE holds SET active = 1;
    """,
)


@dataclass(frozen=True)
class Volume:
    """A volume as it is recorded."""

    name: str
    driver: str
    created_ns: int
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False
    filled: bool = False


class VolumeStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> Volume | None:
        """Return a volume, or None."""
        row = self._store.one("SELECT * FROM volumes WHERE name = ?", (name,))
        return _volume(row) if row else None

    def all(self) -> list[Volume]:
        """Return all volumes by name."""
        return [_volume(row) for row in self._store.all("SELECT * FROM volumes ORDER BY name")]

    def owners(self, name: str) -> list[str]:
        """Return who holds a volume."""
        rows = self._store.all("SELECT owner FROM holds WHERE name = ? ORDER BY owner", (name,))
        return [row["owner"] for row in rows]

    def all_owners(self) -> set[str]:
        """Return everyone who holds something."""
        return {row["owner"] for row in self._store.all("SELECT DISTINCT owner FROM holds")}

    def held(self, owner: str) -> list[str]:
        """Return the names of the volumes that an owner holds."""
        rows = self._store.all("SELECT name FROM holds WHERE owner = ? ORDER BY name", (owner,))
        return [row["name"] for row in rows]

    @staticmethod
    def insert(tx: sqlite3.Connection, volume: Volume) -> None:
        """Record a volume."""
        tx.execute(
            "INSERT INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                volume.name,
                volume.driver,
                volume.created_ns,
                json.dumps(volume.labels),
                json.dumps(volume.options),
                volume.anonymous,
                volume.filled,
            ),
        )

    @staticmethod
    def delete(tx: sqlite3.Connection, name: str) -> None:
        """Forget a volume that nobody holds."""
        tx.execute("DELETE FROM volumes WHERE name = ?", (name,))

    @staticmethod
    def hold(tx: sqlite3.Connection, owner: str, names: Collection[str]) -> None:
        """Record that an owner holds these volumes and no others."""
        wanted = set(names)
        before = {
            row["name"]
            for row in tx.execute("SELECT name FROM holds WHERE owner = ?", (owner,)).fetchall()
        }
        tx.executemany(
            "DELETE FROM holds WHERE owner = ? AND name = ?",
            [(owner, name) for name in before - wanted],
        )
        tx.executemany(
            "INSERT INTO holds (owner, name) VALUES (?, ?)",
            [(owner, name) for name in wanted - before],
        )

    def active(self, name: str) -> list[str]:
        """Return whose containers were started with a volume."""
        rows = self._store.all("SELECT owner FROM holds WHERE name = ? AND active", (name,))
        return [row["owner"] for row in rows]

    def is_active(self, owner: str) -> bool:
        """Tell whether all that an owner holds is active, as after `activate`."""
        query = "SELECT 1 FROM holds WHERE owner = ? AND NOT active"
        return self._store.one(query, (owner,)) is None

    @staticmethod
    def activate(tx: sqlite3.Connection, owner: str) -> None:
        """Record that an owner's container is started with the volumes that it holds."""
        tx.execute("UPDATE holds SET active = 1 WHERE owner = ?", (owner,))

    @staticmethod
    def set_filled(tx: sqlite3.Connection, name: str) -> None:
        """Record that a volume has content."""
        tx.execute("UPDATE volumes SET filled = 1 WHERE name = ?", (name,))

    @staticmethod
    def release(tx: sqlite3.Connection, owner: str) -> None:
        """Record that an owner holds nothing."""
        tx.execute("DELETE FROM holds WHERE owner = ?", (owner,))


def _volume(row: sqlite3.Row) -> Volume:
    return Volume(
        name=row["name"],
        driver=row["driver"],
        created_ns=row["created_ns"],
        labels=json.loads(row["labels"]),
        options=json.loads(row["options"]),
        anonymous=bool(row["anonymous"]),
        filled=bool(row["filled"]),
    )
