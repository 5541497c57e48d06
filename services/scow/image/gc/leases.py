"""Leases: what must not be collected.

Those of work under way live in memory: after a crash the work is gone, and so is its claim. Those that clients ask
for are rows, and end at a time.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from scow.api.image.v1 import store_pb2 as pb
from scow.contract.errors import LeaseNotFound
from scow.core.requests import remember
from scow.core.times import now_ns, to_proto
from scow.image.metadata.tables import ImageStore, Lease

DAY_SECONDS = 86400
_NANO = 1_000_000_000


class Leases:
    """Claims of work under way on blobs and layers by digest; several may claim the same."""

    def __init__(self) -> None:
        self._claims: Counter[str] = Counter()

    def __contains__(self, digest: object) -> bool:
        """Tell whether somebody claims the digest."""
        return self._claims.get(str(digest), 0) > 0

    @contextlib.contextmanager
    def hold(self, digests: Iterable[str]) -> Iterator[None]:
        """Claim digests for the length of the block."""
        claimed = Counter(digests)
        for digest, count in claimed.items():
            self._claims[digest] += count
        try:
            yield
        finally:
            for digest, count in claimed.items():
                self._claims[digest] -= count
                if self._claims[digest] <= 0:
                    del self._claims[digest]


class KeptLeases:
    """Leases that clients ask for.

    Args:
        rows: The tables.
    """

    def __init__(self, rows: ImageStore) -> None:
        self._rows = rows

    def create(self, digests: Iterable[str], seconds: int, labels: Mapping[str, str]) -> pb.Lease:
        """Keep digests, here or not yet, for so many seconds (0: a day)."""
        with self._rows.transaction() as tx:
            row = self._rows.lease(self.insert(tx, digests, seconds, labels))
            assert row is not None
            lease = self._message(row)
            remember(tx, lease)
        return lease

    def insert(
        self,
        tx: sqlite3.Connection,
        digests: Iterable[str],
        seconds: int,
        labels: Mapping[str, str],
    ) -> str:
        """Record a lease, as `create` does, in the transaction of something else; return its id."""
        row = Lease(secrets.token_hex(16), _end(seconds), json.dumps(dict(labels), sort_keys=True))
        self._rows.set_lease(tx, row, digests)
        return row.id

    def renew(self, lease_id: str, digests: Iterable[str], seconds: int) -> pb.Lease:
        """Give a lease a new end, so many seconds from now (0: a day), and further digests to keep.

        Raises:
            LeaseNotFound: There is none, or it has ended.
        """
        known = self._rows.lease(lease_id)
        if known is None or known.expires_ns <= now_ns():
            raise LeaseNotFound(
                f"there is no lease {lease_id}",
                what="lease",
                which=lease_id,
                do="create a new one: what this one kept may be gone",
            )
        row = Lease(lease_id, _end(seconds), known.labels)
        with self._rows.transaction() as tx:
            self._rows.set_lease(tx, row, digests)
            lease = self._message(row)
            remember(tx, lease)
        return lease

    def delete(self, lease_id: str) -> None:
        """End a lease; what it alone kept goes with the next collection."""
        with self._rows.transaction() as tx:
            self._rows.delete_lease(tx, lease_id)
            remember(tx)

    def all(self) -> list[pb.Lease]:
        """Return the leases that have not ended, the one that ends first at the head."""
        now = now_ns()
        return [self._message(row) for row in self._rows.leases() if row.expires_ns > now]

    def _message(self, row: Lease) -> pb.Lease:
        return pb.Lease(
            id=row.id,
            expires_at=to_proto(row.expires_ns),
            digests=self._rows.lease_content(row.id),
            labels=json.loads(row.labels),
        )


def _end(seconds: int) -> int:
    return now_ns() + (seconds or DAY_SECONDS) * _NANO
