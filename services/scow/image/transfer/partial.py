"""What a pull has fetched stays until the pull is complete: a lease that outlives a crash, or a network that is away.

It ends with the pull, or when nobody has gone on with that for as long as a cut download is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence

from scow.contract.errors import RegistryDenied, RegistryRateLimited, RegistryUnavailable
from scow.core.times import now_ns
from scow.image.metadata.tables import ImageStore, Lease

# After these a later pull goes on with what is there.
RESUMABLE = (RegistryUnavailable, RegistryRateLimited, RegistryDenied)
_NANO = 1_000_000_000


class PartialPulls:
    """Leases of pulls.

    Args:
        rows: The tables.
        keep_seconds: For which an unfinished pull's content is kept.
    """

    def __init__(self, rows: ImageStore, keep_seconds: float) -> None:
        self._rows = rows
        self._keep_ns = int(keep_seconds * _NANO)

    @contextlib.contextmanager
    def pull(self, name: str, digests: Sequence[str]) -> Iterator[None]:
        """Keep digests of blobs and layers for the length of the block; longer when a later pull can go on with them.

        Args:
            name: Of what is pulled; a later pull of this name ends the lease.
            digests: What is fetched.
        """
        lease = Lease(f"pull/{name}", now_ns() + self._keep_ns, json.dumps({"pull": name}))
        with self._rows.transaction() as tx:
            self._rows.set_lease(tx, lease, digests)
        try:
            yield
        except (*RESUMABLE, asyncio.CancelledError):
            if not any(map(self._is_here, digests)):
                self._end(lease)
            raise
        except Exception:
            self._end(lease)
            raise
        self._end(lease)

    def _is_here(self, digest: str) -> bool:
        return self._rows.blob_size(digest) is not None or self._rows.layer(digest) is not None

    def _end(self, lease: Lease) -> None:
        with self._rows.transaction() as tx:
            self._rows.delete_lease(tx, lease.id)
