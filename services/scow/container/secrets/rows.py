"""The table of secrets (see `scow.container.store`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scow.core.store import Store


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret as it is kept; `sealed` is what is in it, encrypted."""

    id: str
    name: str
    labels: Mapping[str, str]
    created_ns: int
    sealed: bytes


class SecretRows:
    """Reads and writes the table."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> Iterator[SecretRow]:
        """Yield all, by name."""
        for row in self.store.all("SELECT * FROM secrets ORDER BY name"):
            yield _of(row)

    def one(self, secret: str) -> SecretRow | None:
        """Return the one with this id."""
        row = self.store.one("SELECT * FROM secrets WHERE id = ?", (secret,))
        return _of(row) if row else None

    def named(self, name: str) -> SecretRow | None:
        """Return the one with this name."""
        row = self.store.one("SELECT * FROM secrets WHERE name = ?", (name,))
        return _of(row) if row else None

    @staticmethod
    def insert(tx: sqlite3.Connection, row: SecretRow) -> None:
        """Record one."""
        tx.execute(
            "INSERT INTO secrets VALUES (?, ?, ?, ?, ?)",
            (row.id, row.name, json.dumps(dict(row.labels)), row.created_ns, row.sealed),
        )

    @staticmethod
    def delete(tx: sqlite3.Connection, secret: str) -> None:
        """Forget one."""
        tx.execute("DELETE FROM secrets WHERE id = ?", (secret,))


def _of(row: sqlite3.Row) -> SecretRow:
    return SecretRow(
        row["id"], row["name"], json.loads(row["labels"]), row["created_ns"], row["sealed"]
    )
