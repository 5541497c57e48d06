"""Users and their passwords: an htpasswd file with bcrypt hashes."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from pathlib import Path

import bcrypt

from scow.contract.errors import InvalidConfig

# Checks at once: each takes a processor for a while, on purpose, and there may be but two.
_AT_ONCE = 1
_REMEMBERED = 1024
# bcrypt takes no more; htpasswd cuts silently.
_LONGEST = 72
# Of nobody: an unknown name takes as long as a wrong password.
_NOBODY = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(5))


class Users:
    """Those who may log in.

    Args:
        path: The file.

    Raises:
        InvalidConfig: It cannot be read, or has a line that is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed_ns = 0
        self._hashes: dict[str, bytes] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        # What was right lately, so that not every request pays for bcrypt; no password is kept.
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._load()

    def _load(self) -> None:
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._changed_ns:
                return
            lines = self._path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._bad(f"cannot be read: {error}") from error
        hashes = {}
        for number, line in enumerate(lines, 1):
            name, _, hashed = line.strip().partition(":")
            if not name or name.startswith("#"):
                continue
            if not hashed.startswith(("$2a$", "$2b$", "$2y$")):
                raise self._bad(f"has no bcrypt hash in line {number}")
            hashes[name] = hashed.encode()
        self._hashes, self._changed_ns = hashes, changed_ns
        self._right.clear()

    def _bad(self, why: str) -> InvalidConfig:
        return InvalidConfig(
            f"the file {self._path} {why}",
            what="configuration key",
            which="image.serve.htpasswd",
            do="give a file with lines as `htpasswd -nB NAME` writes them",
        )

    def refresh(self) -> None:
        """Read the file again if it has changed.

        Raises:
            InvalidConfig: It is wrong; what was read before stays good.
        """
        self._load()

    async def check(self, name: str, password: str) -> bool:
        """Tell whether this is the password of a user."""
        hashed = self._hashes.get(name)
        secret = password.encode()[:_LONGEST]
        key = hmac.digest(self._secret, name.encode() + b"\0" + secret, "sha256")
        if hashed is not None and key in self._right:
            return True
        async with self._slots:
            right = await asyncio.to_thread(_matches, secret, hashed or _NOBODY)
        if not right or hashed is None or self._hashes.get(name) != hashed:
            return False
        while len(self._right) >= _REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[key] = None
        return True


def _matches(secret: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(secret, hashed)
    except ValueError:  # a damaged hash
        return False
