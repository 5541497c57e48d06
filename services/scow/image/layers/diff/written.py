"""What the worker says about a layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A layer that was written.

    Attributes:
        diff_id: Digest of the plain tar.
        digest: Digest of the file.
        size: Bytes of the file.
        empty: It changes nothing.
        skipped: Files that a layer cannot have.
    """

    diff_id: str
    digest: str
    size: int
    empty: bool
    skipped: int
