"""Digests: the names of bytes."""

from __future__ import annotations

import hashlib


def digest_of(data: bytes) -> str:
    """Return "sha256:..."."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
