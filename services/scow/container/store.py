"""The container service's tables.

::

    containers  id (key) | name (unique) | described | rootfs | volumes | remove_volumes
    execs       exec_id (key) | container | pid | started_ns | ended_ns, exit_code (NULL while it runs) | config
    machine     boot_id                              of the machine's start in which the service ran last
    secrets     id (key) | name (unique) | labels (JSON) | created_ns | sealed (encrypted)
    departed    id (key) | outcome | removed_ns      how removed containers ended; kept for a day

`described` is a scow.api.container.v1.Container, `rootfs` an image.v1.PrepareResponse without the image, `volumes` a
volume.v1.AcquireResponse, `outcome` a container.v1.WaitResponse. The service keeps all containers in memory too
(`entries`) and reads these tables only when it starts.

A container's row is written before anyone is asked to hold something for it and deleted after all was given
back. On the file system it has `containers/<id>/` below the service's folder (the log) from creation to removal, and
`shims/<id's beginning>/` in the run directory from the start to the moment when all that ran was cleaned up: the
existence of that folder is the record that there is something to clean up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1.image_pb2 import PrepareResponse
from scow.api.volume.v1.volume_pb2 import AcquireResponse
from scow.core.store import Store

MIGRATIONS = (
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        described BLOB NOT NULL,
        rootfs BLOB NOT NULL,
        volumes BLOB NOT NULL,
        remove_volumes INTEGER NOT NULL
    );
    CREATE TABLE execs (
        exec_id TEXT PRIMARY KEY,
        container TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        pid INTEGER NOT NULL,
        started_ns INTEGER NOT NULL,
        ended_ns INTEGER,
        exit_code INTEGER
    );
    CREATE INDEX execs_container ON execs(container);
    CREATE TABLE departed (
        id TEXT PRIMARY KEY,
        outcome BLOB NOT NULL,
        removed_ns INTEGER NOT NULL
    );
    """,
    "CREATE TABLE machine (boot_id TEXT NOT NULL);",
    """
    CREATE TABLE secrets (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        labels TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        sealed BLOB NOT NULL
    );
    """,
    "ALTER TABLE execs ADD COLUMN config BLOB NOT NULL DEFAULT x'';",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A container as it is recorded."""

    described: pb.Container
    rootfs: PrepareResponse
    volumes: AcquireResponse
    remove_volumes: bool


@dataclass(frozen=True, slots=True)
class ExecRow:
    """An exec session; `exit_code` is None while it runs."""

    exec_id: str
    container: str
    pid: int
    exit_code: int | None
    started_ns: int
    ended_ns: int | None
    config: bytes


class ContainerStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> Iterator[Row]:
        """Yield all containers."""
        for row in self.store.all("SELECT * FROM containers"):
            yield Row(
                pb.Container.FromString(row["described"]),
                PrepareResponse.FromString(row["rootfs"]),
                AcquireResponse.FromString(row["volumes"]),
                bool(row["remove_volumes"]),
            )

    def boot_id(self) -> str:
        """Return in which start of the machine the service ran last, as the kernel names it; empty at first."""
        row = self.store.one("SELECT boot_id FROM machine")
        return row["boot_id"] if row else ""

    def set_boot_id(self, boot_id: str) -> None:
        """Record in which start of the machine the service runs."""
        with self.store.transaction() as tx:
            tx.execute("DELETE FROM machine")
            tx.execute("INSERT INTO machine VALUES (?)", (boot_id,))

    @staticmethod
    def insert(tx: sqlite3.Connection, described: pb.Container) -> None:
        """Record the intent to create a container.

        Raises:
            sqlite3.IntegrityError: The name is in use.
        """
        tx.execute(
            "INSERT INTO containers VALUES (?, ?, ?, x'', x'', 0)",
            (described.id, described.name, described.SerializeToString()),
        )

    @staticmethod
    def describe(tx: sqlite3.Connection, described: pb.Container) -> None:
        """Record what a container is now."""
        tx.execute(
            "UPDATE containers SET described = ? WHERE id = ?",
            (described.SerializeToString(), described.id),
        )

    @staticmethod
    def rename(tx: sqlite3.Connection, container: str, name: str) -> None:
        """Record a container's new name; `describe` has to follow.

        Raises:
            sqlite3.IntegrityError: The name is in use.
        """
        tx.execute("UPDATE containers SET name = ? WHERE id = ?", (name, container))

    @staticmethod
    def hold(
        tx: sqlite3.Connection, container: str, rootfs: PrepareResponse, volumes: AcquireResponse
    ) -> None:
        """Record what others hold for a container."""
        tx.execute(
            "UPDATE containers SET rootfs = ?, volumes = ? WHERE id = ?",
            (rootfs.SerializeToString(), volumes.SerializeToString(), container),
        )

    @staticmethod
    def remove_volumes(tx: sqlite3.Connection, container: str) -> None:
        """Record that the anonymous volumes go with the container."""
        tx.execute("UPDATE containers SET remove_volumes = 1 WHERE id = ?", (container,))

    @staticmethod
    def delete(
        tx: sqlite3.Connection, container: str, outcome: pb.WaitResponse | None, now_ns: int
    ) -> None:
        """Forget a container but for how it ended."""
        tx.execute("DELETE FROM containers WHERE id = ?", (container,))
        if outcome is not None:
            tx.execute(
                "INSERT OR REPLACE INTO departed VALUES (?, ?, ?)",
                (container, outcome.SerializeToString(), now_ns),
            )

    def departed(self, container: str) -> pb.WaitResponse | None:
        """Return how a removed container ended; it is named by its whole id."""
        row = self.store.one("SELECT outcome FROM departed WHERE id = ?", (container,))
        return pb.WaitResponse.FromString(row["outcome"]) if row else None

    @staticmethod
    def insert_exec(
        tx: sqlite3.Connection,
        exec_id: str,
        container: str,
        pid: int,
        now_ns: int,
        config: pb.ExecConfig,
    ) -> None:
        """Record an exec session that was started. Its environment is not: it may have secrets."""
        kept = pb.ExecConfig()
        kept.CopyFrom(config)
        kept.ClearField("env")
        tx.execute(
            "INSERT INTO execs VALUES (?, ?, ?, ?, NULL, NULL, ?)",
            (exec_id, container, pid, now_ns, kept.SerializeToString()),
        )

    @staticmethod
    def end_exec(tx: sqlite3.Connection, exec_id: str, exit_code: int, now_ns: int) -> bool:
        """Record an exec session's end; return whether that is news."""
        cursor = tx.execute(
            "UPDATE execs SET ended_ns = ?, exit_code = ? WHERE exec_id = ? AND ended_ns IS NULL",
            (now_ns, exit_code, exec_id),
        )
        return cursor.rowcount == 1

    @staticmethod
    def end_execs(tx: sqlite3.Connection, container: str, exit_code: int, now_ns: int) -> None:
        """Record that all exec sessions of a container have ended with it."""
        tx.execute(
            "UPDATE execs SET ended_ns = ?, exit_code = ? WHERE container = ? AND ended_ns IS NULL",
            (now_ns, exit_code, container),
        )

    def exec(self, exec_id: str) -> ExecRow | None:
        """Return an exec session."""
        row = self.store.one("SELECT * FROM execs WHERE exec_id = ?", (exec_id,))
        return None if row is None else _exec_row(row)

    def execs(self) -> list[ExecRow]:
        """Return all exec sessions, the earliest first."""
        return [_exec_row(row) for row in self.store.all("SELECT * FROM execs ORDER BY started_ns")]

    @staticmethod
    def delete_exec(tx: sqlite3.Connection, exec_id: str) -> None:
        """Forget an exec session."""
        tx.execute("DELETE FROM execs WHERE exec_id = ?", (exec_id,))

    def running_execs(self, container: str) -> list[str]:
        """Return the exec sessions of a container that run."""
        rows = self.store.all(
            "SELECT exec_id FROM execs WHERE container = ? AND ended_ns IS NULL ORDER BY started_ns",
            (container,),
        )
        return [row["exec_id"] for row in rows]

    def prune(self, execs_before_ns: int, departed_before_ns: int) -> None:
        """Forget exec sessions and removed containers that ended long ago."""
        with self.store.transaction() as tx:
            tx.execute("DELETE FROM execs WHERE ended_ns < ?", (execs_before_ns,))
            tx.execute("DELETE FROM departed WHERE removed_ns < ?", (departed_before_ns,))


def _exec_row(row: sqlite3.Row) -> ExecRow:
    return ExecRow(
        row["exec_id"],
        row["container"],
        row["pid"],
        row["exit_code"],
        row["started_ns"],
        row["ended_ns"],
        row["config"],
    )
