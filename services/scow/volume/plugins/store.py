"""The table of plugins.

::

    plugins  name (key)       those that are disabled: they take no new volumes and mounts
"""

from __future__ import annotations

import sqlite3

from scow.core.store import Store

MIGRATION = """
    CREATE TABLE plugins (
        name TEXT PRIMARY KEY
    );
"""


class PluginStore:
    """Reads and writes the table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def disabled(self) -> set[str]:
        """Return the names of those that are disabled."""
        return {row["name"] for row in self._store.all("SELECT name FROM plugins")}

    def has_volumes(self, name: str) -> bool:
        """Tell whether a volume of a plugin is on record, also one that is being removed."""
        return self._store.one("SELECT 1 FROM volumes WHERE driver = ?", (name,)) is not None

    @staticmethod
    def disable(tx: sqlite3.Connection, name: str) -> None:
        """Record that a plugin is disabled."""
        tx.execute("INSERT OR IGNORE INTO plugins VALUES (?)", (name,))

    @staticmethod
    def enable(tx: sqlite3.Connection, name: str) -> None:
        """Record that a plugin is enabled."""
        tx.execute("DELETE FROM plugins WHERE name = ?", (name,))
