"""Leases: what work under way needs, so that garbage collection lets it be.

They live in memory: after a crash the work is gone, and so is its claim.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator


class Leases:
    """Claims on blobs and layers by digest; several may claim the same."""

    def __init__(self) -> None:
        self._claims: Counter[str] = Counter()

    def __contains__(self, digest: object) -> bool:
        """Tell whether somebody claims the digest."""
        return self._claims.get(str(digest), 0) > 0

    @contextlib.contextmanager
    def hold(self, digests: Iterable[str]) -> Iterator[None]:
        """Claim digests for the length of the block."""
        claimed = Counter(digests)
        self._claims += claimed
        try:
            yield
        finally:
            self._claims -= claimed
