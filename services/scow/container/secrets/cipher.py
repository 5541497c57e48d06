"""The encryption of secrets at rest: AES-256-GCM, with a key in a file that root alone reads.

The key is made when the first secret is. It stands beside the database: this keeps secrets out of copies of the
database and out of whatever reads the disk without being root, no more.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from scow.contract.errors import DataLoss

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Cipher:
    """Encrypts and decrypts.

    Args:
        path: Of the key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def encrypt(self, secret: str, data: bytes) -> bytes:
        """Return what is in a secret, encrypted; it can be decrypted under the same id alone."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead(self._key(make=True)).encrypt(nonce, data, secret.encode())

    def decrypt(self, secret: str, sealed: bytes) -> bytes:
        """Return what is in a secret.

        Raises:
            DataLoss: The key is gone or another one, or what was kept is damaged.
        """
        from cryptography.exceptions import InvalidTag

        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._aead(self._key()).decrypt(nonce, rest, secret.encode())
        except (InvalidTag, FileNotFoundError, ValueError) as error:
            raise DataLoss(
                f"the secret {secret} cannot be decrypted",
                what="secret",
                which=secret,
                do=f"put the key back that was at {self._path}, or make the secret again",
            ) from error

    def mark(self, data: bytes) -> bytes:
        """Return what tells data from other data and nothing of it to who has not the key."""
        return hmac.digest(self._key(make=True), data, "sha256")

    @staticmethod
    def _aead(key: bytes) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(key)

    def _key(self, *, make: bool = False) -> bytes:
        """Return the key, made where there is none and that is wanted."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            if not make:
                raise
        new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, os.urandom(_KEY_BYTES))
            os.fsync(fd)
            os.link(new, self._path)
        except FileExistsError:
            pass  # another one was quicker
        finally:
            os.close(fd)
            os.unlink(new)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._path.read_bytes()
