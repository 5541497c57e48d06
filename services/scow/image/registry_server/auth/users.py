"""Users and their passwords: an htpasswd file with bcrypt hashes."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from pathlib import Path

import bcrypt

from scow.contract.errors import InvalidConfig
from scow.image.registry_server.auth.attempts import Attempts

_REMEMBERED = 1024
# bcrypt takes no more; htpasswd cuts silently.
_LONGEST = 72
_HASH = re.compile(rb"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


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
        self._attempts = Attempts()
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
            if not _HASH.fullmatch(hashed.encode()):
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

    async def check(self, name: str, password: str, address: str) -> bool:
        """Tell whether this is the password of a user; that takes as long for a name that nobody has.

        Args:
            name: The user's.
            password: To be checked.
            address: From which it comes.

        Raises:
            Refusal: TOOMANYREQUESTS, see `Attempts`. A password that was right lately is let in nevertheless.
        """
        hashed = self._hashes.get(name)
        secret = password.encode()[:_LONGEST]
        key = hmac.digest(self._secret, name.encode() + b"\0" + secret, "sha256")
        if hashed is not None and key in self._right:
            return True
        async with self._attempts.turn(address):
            right = await asyncio.to_thread(_matches, secret, hashed or self._nobody(name))
            if not right or hashed is None or self._hashes.get(name) != hashed:
                self._attempts.wrong(address)
                return False
        while len(self._right) >= _REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[key] = None
        return True

    def _nobody(self, name: str) -> bytes:
        """Return a hash that no password has, for a name that nobody has.

        It takes as much work as that of one of the users, always the same one.
        """
        costs = [hashed[4:6] for hashed in self._hashes.values()] or [b"10"]
        chosen = hmac.digest(self._secret, name.encode(), "sha256")
        return b"$2b$%b$%b" % (costs[int.from_bytes(chosen[:4]) % len(costs)], b"." * 53)


def _matches(secret: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(secret, hashed)
    except ValueError:  # a damaged hash
        return False
