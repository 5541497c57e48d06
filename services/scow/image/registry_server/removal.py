"""Deleting by the distribution API: names go, and with the last one what it held."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from scow.core.journal import Journal
from scow.image.gc.collector import Collector
from scow.image.metadata.tables import ImageStore
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.repositories import Repositories


class Removal:
    """Deletes.

    Args:
        rows: The tables.
        repositories: Who has what.
        collector: Who deletes what nothing holds.
        journal: Where it is written down.
    """

    def __init__(
        self, rows: ImageStore, repositories: Repositories, collector: Collector, journal: Journal
    ) -> None:
        self._rows = rows
        self._repositories = repositories
        self._collector = collector
        self._journal = journal

    async def tag(self, reference: str, digest: str) -> None:
        """Delete a tag; an image stays with its digest."""
        with self._rows.transaction() as tx:
            self._rows.unname(tx, reference)
            self._note(tx, [reference], digest)
            self._repositories.forget_referrer(tx, digest)
            gone = self._collector.forget(tx, [], [digest])
        await self._collector.discard(gone)

    async def manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest from a repository; the images that nothing names any more go with it."""
        with self._rows.transaction() as tx:
            self._note(tx, self._repositories.delete(tx, repository, digest), digest)
            gone = self._collector.forget(tx, [], [digest])
        await self._collector.discard(gone)

    async def blob(self, repository: str, digest: str) -> None:
        """Delete a blob that was pushed to a repository.

        Raises:
            Refusal: DENIED: a manifest names it.
        """
        with self._rows.transaction() as tx:
            self._rows.delete_lease(tx, f"push/{repository}@{digest}")
        if self._repositories.has(repository, digest):
            raise Refusal("DENIED", "a manifest of the repository names this blob", status=409)
        await self._collector.sweep()

    def _note(self, tx: sqlite3.Connection, references: Iterable[str], digest: str) -> None:
        row = self._rows.manifest(digest)
        for reference in references:
            self._journal.append(
                tx, "image", (row and row.image) or digest, "untag", {"name": reference}
            )
