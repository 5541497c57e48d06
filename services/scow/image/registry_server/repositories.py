"""What repositories have, by the tables (`image/store.py` draws them).

A repository has a digest when a name, a digest reference or a fresh push of it leads there. With authentication that
decides what a client may read; the way goes up from the digest, for what has it is less than what a repository has.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from scow.core.store import Store
from scow.core.times import now_ns
from scow.image.metadata.tables import Manifest

_NANO = 1_000_000_000

# Everything that names a digest, itself included.
_UP = """
    WITH RECURSIVE up(digest) AS (
        SELECT ? UNION SELECT manifest FROM up JOIN manifest_parts ON manifest_parts.digest = up.digest
    )
"""
_HAS = f"""{_UP}
    SELECT 1 FROM up WHERE
        EXISTS (SELECT 1 FROM names WHERE manifest = up.digest AND reference >= ? AND reference < ?)
        OR EXISTS (SELECT 1 FROM repo_digests WHERE digest_reference = ? || up.digest)
        OR EXISTS (SELECT 1 FROM leases WHERE id = ? || up.digest AND expires_ns > ?)
    LIMIT 1
"""  # noqa: S608  no values of strangers
# Of referrers alone, which have no image: their subject is gone, and so is the time in which it might have come.
_ORPHANS = """
    DELETE FROM repo_digests WHERE image IS NULL AND EXISTS (
        SELECT 1 FROM manifests
        WHERE digest = substr(digest_reference, instr(digest_reference, '@') + 1)
            AND subject IS NOT NULL AND subject NOT IN (SELECT digest FROM blobs)
    ) AND 'push/' || digest_reference NOT IN (SELECT id FROM leases)
"""
# A referrer that nothing names: its subject alone shall not hold it.
_FORGET_REFERRER = """
    DELETE FROM manifests WHERE digest = ?1 AND subject IS NOT NULL AND image IS NULL
        AND NOT EXISTS (SELECT 1 FROM names WHERE manifest = ?1)
        AND NOT EXISTS (SELECT 1 FROM repo_digests WHERE digest_reference LIKE '%@' || ?1)
        AND NOT EXISTS (SELECT 1 FROM manifest_parts WHERE digest = ?1)
"""


class Repositories:
    """Reads and changes what repositories have.

    Args:
        store: The service's database.
        keep_seconds: For which what was pushed is kept without a name.
    """

    def __init__(self, store: Store, keep_seconds: float) -> None:
        self._store = store
        self._keep_ns = int(keep_seconds * _NANO)

    def has(self, repository: str, digest: str) -> bool:
        """Tell whether a repository has a blob or manifest."""
        low, high = _tags_of(repository)
        at = f"{repository}@"
        values = (digest, low, high, at, f"push/{at}", now_ns())
        return self._store.one(_HAS, values) is not None

    def exists(self, repository: str) -> bool:
        """Tell whether a repository has anything."""
        low, high = _tags_of(repository)
        at = (f"{repository}@", f"{repository}A")
        row = self._store.one(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM names WHERE reference >= ? AND reference < ?)"
            " OR EXISTS (SELECT 1 FROM repo_digests WHERE digest_reference >= ? AND digest_reference < ?)"
            " OR EXISTS (SELECT 1 FROM leases WHERE id >= ? AND id < ?)",
            (low, high, *at, f"push/{at[0]}", f"push/{at[1]}"),
        )
        return row is not None

    def all(self) -> list[str]:
        """Return the repositories that have names or digests, sorted."""
        rows = self._store.all(
            "SELECT reference AS text FROM names UNION ALL SELECT digest_reference FROM repo_digests"
        )
        return sorted({_repository(row["text"]) for row in rows})

    def tags(self, repository: str) -> list[str]:
        """Return a repository's tags, sorted."""
        low, high = _tags_of(repository)
        rows = self._store.all(
            "SELECT reference FROM names WHERE reference >= ? AND reference < ? ORDER BY 1",
            (low, high),
        )
        return [row["reference"].removeprefix(low) for row in rows]

    def referrers(self, digest: str) -> list[Manifest]:
        """Return what refers to a digest, sorted by digest."""
        rows = self._store.all(
            "SELECT * FROM manifests WHERE subject = ? ORDER BY digest", (digest,)
        )
        return [Manifest(**row) for row in rows]

    def keep(self, tx: sqlite3.Connection, repository: str, digest: str) -> None:
        """Keep a blob that was pushed, or mounted, until a manifest names it."""
        name = f"push/{repository}@{digest}"
        self.lease(tx, name, {"repository": repository})
        tx.execute("INSERT OR IGNORE INTO lease_content VALUES (?, ?)", (name, digest))

    def note_pushed(self, repository: str, digest: str) -> None:
        """Remember that a manifest came by a push without a name: an index that follows shall hold it."""
        with self._store.transaction() as tx:
            self.lease(tx, f"push/{repository}@{digest}", {"repository": repository})

    def lease(self, tx: sqlite3.Connection, name: str, labels: dict[str, str]) -> None:
        """Take a lease, or prolong it."""
        tx.execute(
            "INSERT INTO leases VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET expires_ns = excluded.expires_ns",
            (name, now_ns() + self._keep_ns, json.dumps(labels)),
        )

    def leases(self, kind: str) -> dict[str, dict[str, str]]:
        """Return the labels of the leases "KIND/..." that have not expired, by the rest of their names."""
        rows = self._store.all(
            "SELECT id, labels FROM leases WHERE id >= ? AND id < ? AND expires_ns > ?",
            (f"{kind}/", f"{kind}0", now_ns()),
        )
        return {row["id"].partition("/")[2]: json.loads(row["labels"]) for row in rows}

    @staticmethod
    def end_lease(tx: sqlite3.Connection, name: str) -> bool:
        """Give a lease back; tell whether there was one."""
        return tx.execute("DELETE FROM leases WHERE id = ?", (name,)).rowcount > 0

    def forget_orphans(self) -> None:
        """Forget the digests of referrers to what is gone."""
        with self._store.transaction() as tx:
            tx.execute(_ORPHANS)

    def adopt(self, repository: str, parts: Iterable[str]) -> None:
        """Let a manifest hold what was pushed for it: its parts need neither leases nor digest references."""
        with self._store.transaction() as tx:
            for digest in parts:
                name = f"{repository}@{digest}"
                if self.end_lease(tx, f"push/{name}"):
                    tx.execute("DELETE FROM repo_digests WHERE digest_reference = ?", (name,))

    def delete(self, tx: sqlite3.Connection, repository: str, digest: str) -> list[str]:
        """Let a repository forget a manifest, its tags and its digest; return these references."""
        low, high = _tags_of(repository)
        name = f"{repository}@{digest}"
        rows = tx.execute(
            "DELETE FROM names WHERE manifest = ? AND reference >= ? AND reference < ? RETURNING reference",
            (digest, low, high),
        ).fetchall()
        rows += tx.execute(
            "DELETE FROM repo_digests WHERE digest_reference = ? RETURNING digest_reference AS reference",
            (name,),
        ).fetchall()
        self.end_lease(tx, f"push/{name}")
        self.forget_referrer(tx, digest)
        return [row["reference"] for row in rows]

    @staticmethod
    def forget_referrer(tx: sqlite3.Connection, digest: str) -> None:
        """Forget what refers to a subject once nothing names it; anything else stays as it is."""
        tx.execute(_FORGET_REFERRER, (digest,))


def _tags_of(repository: str) -> tuple[str, str]:
    """Return the bounds of a repository's names; ";" follows ":"."""
    return f"{repository}:", f"{repository};"


def _repository(reference: str) -> str:
    name, at, _ = reference.partition("@")
    return name if at else name.rpartition(":")[0]
