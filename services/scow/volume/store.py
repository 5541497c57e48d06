"""The volume service's tables.

::

    volumes  name (key) | driver | created_ns | labels | options | anonymous | filled | removing
    holds    owner, name (key) | active | mounted       who holds which volume; ends with Release
    wishes   owner (key) | request            what the owner acquired, a scow.api.volume.v1.AcquireRequest
    snapshots, former                         see scow.volume.snapshots.store
    plugins                                   see scow.volume.plugins.store
    quotas                                    see scow.volume.quotas.store

Labels and options are JSON objects. The row is written after the driver made the volume's place; before that one goes
it is marked as `removing`, and deleted last: nobody sees a row that is marked.

`filled`: the volume has had content, of an image or of anybody; it is never filled (again). `active`: the owner's
container was started with the volume once. Both never turn back. `mounted`: its driver was asked to mount it for the
owner, and not yet to unmount it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field

from scow.api.volume.v1.volume_pb2 import AcquireRequest
from scow.core.store import Store
from scow.volume.plugins import store as plugins
from scow.volume.quotas import store as quotas
from scow.volume.snapshots import store as snapshots

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
    """
    ALTER TABLE volumes ADD COLUMN removing INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE holds ADD COLUMN mounted INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE wishes (
        owner TEXT PRIMARY KEY,
        request BLOB NOT NULL
    );
    """,
    snapshots.MIGRATION,
    plugins.MIGRATION,
    quotas.MIGRATION,
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
        row = self._store.one("SELECT * FROM volumes WHERE name = ? AND NOT removing", (name,))
        return _volume(row) if row else None

    def all(self) -> list[Volume]:
        """Return all volumes by name."""
        rows = self._store.all("SELECT * FROM volumes WHERE NOT removing ORDER BY name")
        return [_volume(row) for row in rows]

    def removing(self) -> list[Volume]:
        """Return the volumes whose removal has begun."""
        return [_volume(row) for row in self._store.all("SELECT * FROM volumes WHERE removing")]

    def owners(self, name: str) -> list[str]:
        """Return who holds a volume."""
        rows = self._store.all("SELECT owner FROM holds WHERE name = ? ORDER BY owner", (name,))
        return [row["owner"] for row in rows]

    def has_snapshots(self, name: str) -> bool:
        """Tell whether there are snapshots of a volume."""
        query = "SELECT 1 FROM snapshots WHERE volume = ?"
        return self._store.one(query, (name,)) is not None

    def all_owners(self) -> set[str]:
        """Return everyone who holds or wishes something."""
        query = "SELECT owner FROM holds UNION SELECT owner FROM wishes"
        return {row["owner"] for row in self._store.all(query)}

    def held(self, owner: str) -> list[str]:
        """Return the names of the volumes that an owner holds."""
        rows = self._store.all("SELECT name FROM holds WHERE owner = ? ORDER BY name", (owner,))
        return [row["name"] for row in rows]

    @staticmethod
    def insert(tx: sqlite3.Connection, volume: Volume) -> None:
        """Record a volume."""
        tx.execute(
            "INSERT INTO volumes (name, driver, created_ns, labels, options, anonymous, filled)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
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
    def set_labels(tx: sqlite3.Connection, volume: Volume) -> None:
        """Record a volume's labels."""
        query = "UPDATE volumes SET labels = ? WHERE name = ?"
        tx.execute(query, (json.dumps(volume.labels), volume.name))

    @staticmethod
    def begin_removal(tx: sqlite3.Connection, name: str) -> None:
        """Record that a volume that nobody holds is being removed; from here on nobody sees it."""
        tx.execute("UPDATE volumes SET removing = 1 WHERE name = ?", (name,))

    @staticmethod
    def keep(tx: sqlite3.Connection, name: str) -> None:
        """Record that a removal was given up."""
        tx.execute("UPDATE volumes SET removing = 0 WHERE name = ?", (name,))

    @staticmethod
    def delete(tx: sqlite3.Connection, name: str) -> None:
        """Forget a volume that nobody holds."""
        tx.execute("DELETE FROM volumes WHERE name = ?", (name,))

    @staticmethod
    def hold(tx: sqlite3.Connection, wish: AcquireRequest, names: Collection[str]) -> None:
        """Record what an owner wishes, and that it holds these volumes and no others."""
        owner, wanted = wish.owner, set(names)
        tx.execute(
            "INSERT OR REPLACE INTO wishes (owner, request) VALUES (?, ?)",
            (owner, wish.SerializeToString()),
        )
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

    def mounted(self, owner: str) -> list[str]:
        """Return the names of the volumes that may be mounted for an owner."""
        rows = self._store.all("SELECT name FROM holds WHERE owner = ? AND mounted", (owner,))
        return [row["name"] for row in rows]

    def mounted_by_others(self, name: str, owner: str) -> list[str]:
        """Return for whom beside an owner a volume may be mounted."""
        query = "SELECT owner FROM holds WHERE name = ? AND mounted AND owner != ? ORDER BY owner"
        return [row["owner"] for row in self._store.all(query, (name, owner))]

    def mounted_of(self, driver: str) -> list[str]:
        """Return the names of a driver's volumes that are mounted for somebody."""
        query = (
            "SELECT DISTINCT name FROM holds JOIN volumes USING (name)"
            " WHERE driver = ? AND mounted ORDER BY name"
        )
        return [row["name"] for row in self._store.all(query, (driver,))]

    def wish(self, owner: str) -> AcquireRequest | None:
        """Return what an owner acquired, None when that is not on record."""
        row = self._store.one("SELECT request FROM wishes WHERE owner = ?", (owner,))
        return AcquireRequest.FromString(row["request"]) if row else None

    @staticmethod
    def activate(tx: sqlite3.Connection, owner: str, names: Collection[str]) -> None:
        """Record that an owner's container is given volumes that it holds."""
        query = "UPDATE holds SET active = 1, mounted = 1 WHERE owner = ? AND name = ?"
        tx.executemany(query, [(owner, name) for name in names])

    @staticmethod
    def deactivate(tx: sqlite3.Connection, owner: str, names: Collection[str]) -> None:
        """Record that volumes are not mounted for an owner any more."""
        query = "UPDATE holds SET mounted = 0 WHERE owner = ? AND name = ?"
        tx.executemany(query, [(owner, name) for name in names])

    @staticmethod
    def set_filled(tx: sqlite3.Connection, name: str) -> None:
        """Record that a volume has content."""
        tx.execute("UPDATE volumes SET filled = 1 WHERE name = ?", (name,))

    @staticmethod
    def release(tx: sqlite3.Connection, owner: str) -> None:
        """Record that an owner holds nothing but what may still be mounted for it."""
        tx.execute("DELETE FROM holds WHERE owner = ? AND NOT mounted", (owner,))
        tx.execute("DELETE FROM wishes WHERE owner = ?", (owner,))


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
