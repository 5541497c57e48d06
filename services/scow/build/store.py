"""The build service's tables.

::

    records    key (key) | diff_id, digest, size, media_type | lease | type | description | created_ns | used_ns | uses
               results of steps by what they are made of; without a layer where nothing was changed
    builds     id (key) | created_ns | message      builds of the history: BuildRecord, serialized
    contexts   id (key) | used_ns | size            folders contexts/<id>: what clients sent of a directory
    mounts     id (key) | created_ns | used_ns | uses    folders mounts/<id>: caches that RUN mounts

A layer is there, held by its lease, before its record is; a record is gone before its lease is.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.layer_pb2 import Layer
from scow.core.store import Store

MIGRATIONS = (
    """
    CREATE TABLE records (
        key TEXT PRIMARY KEY,
        diff_id TEXT NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        media_type TEXT NOT NULL,
        lease TEXT NOT NULL,
        type TEXT NOT NULL,
        description TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        used_ns INTEGER NOT NULL,
        uses INTEGER NOT NULL
    );
    CREATE INDEX records_lease ON records(lease);
    CREATE INDEX records_diff_id ON records(diff_id);
    CREATE TABLE builds (
        id TEXT PRIMARY KEY,
        created_ns INTEGER NOT NULL,
        message BLOB NOT NULL
    );
    CREATE INDEX builds_created ON builds(created_ns);
    CREATE TABLE contexts (
        id TEXT PRIMARY KEY,
        used_ns INTEGER NOT NULL,
        size INTEGER NOT NULL
    );
    CREATE TABLE mounts (
        id TEXT PRIMARY KEY,
        created_ns INTEGER NOT NULL,
        used_ns INTEGER NOT NULL,
        uses INTEGER NOT NULL
    );
    """,
)


@dataclass(frozen=True)
class Record:
    """The result of a step: `layer` is None where it changed nothing."""

    key: str
    layer: Layer | None
    lease: str
    type: str
    description: str
    created_ns: int
    used_ns: int
    uses: int = 0


class BuildStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.transaction = store.transaction

    def record(self, key: str) -> Record | None:
        """Return the result that has a key."""
        row = self._store.one("SELECT * FROM records WHERE key = ?", (key,))
        return _record(row) if row else None

    def records(self) -> list[Record]:
        """Return all results, the one that was used last first."""
        rows = self._store.all("SELECT * FROM records ORDER BY used_ns DESC, key")
        return [_record(row) for row in rows]

    @staticmethod
    def put_record(tx: sqlite3.Connection, record: Record) -> None:
        """Record a result, in place of the one that had its key."""
        layer = record.layer or Layer()
        tx.execute(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.key,
                layer.diff_id,
                layer.digest,
                layer.size,
                layer.media_type,
                record.lease,
                record.type,
                record.description,
                record.created_ns,
                record.used_ns,
                record.uses,
            ),
        )

    @staticmethod
    def use_record(tx: sqlite3.Connection, key: str, now: int) -> None:
        """Note that a result was used."""
        tx.execute("UPDATE records SET used_ns = ?, uses = uses + 1 WHERE key = ?", (now, key))

    @staticmethod
    def delete_record(tx: sqlite3.Connection, key: str) -> None:
        """Forget a result."""
        tx.execute("DELETE FROM records WHERE key = ?", (key,))

    def build(self, prefix: str) -> list[pb.BuildRecord]:
        """Return the builds whose ids start so; at most two."""
        rows = self._store.all(
            "SELECT message FROM builds WHERE substr(id, 1, ?) = ? LIMIT 2", (len(prefix), prefix)
        )
        return [pb.BuildRecord.FromString(row["message"]) for row in rows]

    def builds(self) -> list[pb.BuildRecord]:
        """Return the history, the newest first."""
        rows = self._store.all("SELECT message FROM builds ORDER BY created_ns DESC, id")
        return [pb.BuildRecord.FromString(row["message"]) for row in rows]

    @staticmethod
    def put_build(tx: sqlite3.Connection, build: pb.BuildRecord) -> None:
        """Record a build."""
        tx.execute(
            "INSERT OR REPLACE INTO builds VALUES (?, ?, ?)",
            (build.id, build.created_at.ToNanoseconds(), build.SerializeToString()),
        )

    @staticmethod
    def delete_build(tx: sqlite3.Connection, build: str) -> None:
        """Forget a build."""
        tx.execute("DELETE FROM builds WHERE id = ?", (build,))

    def contexts(self) -> dict[str, tuple[int, int]]:
        """Return when each context was used, and its bytes."""
        rows = self._store.all("SELECT * FROM contexts")
        return {row["id"]: (row["used_ns"], row["size"]) for row in rows}

    @staticmethod
    def put_context(tx: sqlite3.Connection, context: str, now: int, size: int) -> None:
        """Note that a context was used."""
        tx.execute("INSERT OR REPLACE INTO contexts VALUES (?, ?, ?)", (context, now, size))

    @staticmethod
    def delete_context(tx: sqlite3.Connection, context: str) -> None:
        """Forget a context."""
        tx.execute("DELETE FROM contexts WHERE id = ?", (context,))

    def mounts(self) -> dict[str, tuple[int, int, int]]:
        """Return of each cache that is mounted when it was made and used, and how often."""
        rows = self._store.all("SELECT * FROM mounts")
        return {row["id"]: (row["created_ns"], row["used_ns"], row["uses"]) for row in rows}

    @staticmethod
    def use_mount(tx: sqlite3.Connection, mount: str, now: int) -> None:
        """Note that a cache was mounted."""
        tx.execute(
            "INSERT INTO mounts VALUES (?, ?, ?, 1)"
            " ON CONFLICT (id) DO UPDATE SET used_ns = excluded.used_ns, uses = uses + 1",
            (mount, now, now),
        )

    @staticmethod
    def delete_mount(tx: sqlite3.Connection, mount: str) -> None:
        """Forget a cache that was mounted."""
        tx.execute("DELETE FROM mounts WHERE id = ?", (mount,))


def _record(row: sqlite3.Row) -> Record:
    layer = None
    if row["diff_id"]:
        layer = Layer(
            diff_id=row["diff_id"],
            digest=row["digest"],
            size=row["size"],
            media_type=row["media_type"],
        )
    return Record(
        row["key"],
        layer,
        row["lease"],
        row["type"],
        row["description"],
        row["created_ns"],
        row["used_ns"],
        row["uses"],
    )
