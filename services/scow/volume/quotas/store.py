"""The table of limits.

::

    quotas  volume (key) | project (unique) | size | inodes

A volume with a row belongs to a project of the file system, which has the limits; 0 means none. The row is written
before the volume's files belong to the project, and stays until the volume goes. What was thrown away belongs to its
project until it is deleted: a number is free when the file system counts nothing for it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from scow.core.store import Store

MIGRATION = """
    CREATE TABLE quotas (
        volume TEXT PRIMARY KEY REFERENCES volumes(name) ON DELETE CASCADE,
        project INTEGER NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        inodes INTEGER NOT NULL
    );
"""


@dataclass(frozen=True)
class Quota:
    """The limits of a volume: bytes and inodes; 0 means none."""

    volume: str
    project: int
    size: int
    inodes: int


class Limits(NamedTuple):
    """What a volume may take: bytes and inodes; 0 means no limit."""

    size: int
    inodes: int

    def __bool__(self) -> bool:
        return any(self)


NO_LIMITS = Limits(0, 0)


class QuotaStore:
    """Reads and writes the table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, volume: str) -> Quota | None:
        """Return the limits of a volume, None where it has none."""
        row = self._store.one("SELECT * FROM quotas WHERE volume = ?", (volume,))
        return _quota(row) if row else None

    def all(self) -> list[Quota]:
        """Return all limits."""
        return [_quota(row) for row in self._store.all("SELECT * FROM quotas ORDER BY volume")]

    @staticmethod
    def put(tx: sqlite3.Connection, quota: Quota) -> None:
        """Record limits in place of earlier ones."""
        tx.execute(
            "INSERT OR REPLACE INTO quotas VALUES (?, ?, ?, ?)",
            (quota.volume, quota.project, quota.size, quota.inodes),
        )


def _quota(row: sqlite3.Row) -> Quota:
    return Quota(row["volume"], row["project"], row["size"], row["inodes"])
