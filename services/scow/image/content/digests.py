"""Digests, the names of bytes: "sha256:..." or "sha512:...", the two kinds that the image specification registers.

Whatever this service makes has the first; the second is kept and compared as it came.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

SHA256, SHA512 = "sha256", "sha512"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def is_digest(text: str) -> bool:
    """Tell whether the text is an algorithm's name, a colon, and as many lower-case hexadecimal digits as it makes."""
    return _DIGEST.fullmatch(text) is not None


def algorithm_of(digest: str) -> str:
    """Return the algorithm of a digest; SHA256 where the text is not a digest."""
    return SHA512 if digest.startswith("sha512:") else SHA256


def digits_of(digest: str) -> str:
    """Return the digits of a digest, or a text that is not one."""
    return digest.removeprefix(f"{algorithm_of(digest)}:")


def new_hash(algorithm: str) -> _Hash:
    """Return an algorithm's empty hash."""
    return hashlib.sha512() if algorithm == SHA512 else hashlib.sha256()


def digest_of(data: bytes, algorithm: str = SHA256) -> str:
    """Return the digest of bytes."""
    found = new_hash(algorithm)
    found.update(data)
    return f"{algorithm}:{found.hexdigest()}"


def matches(data: bytes, digest: str) -> bool:
    """Tell whether bytes have a digest."""
    return digest_of(data, algorithm_of(digest)) == digest
