"""Public keys, and what they signed.

The schemes are those that cosign chooses for a kind of key: ECDSA over P-256 and RSA (PKCS #1 1.5), each with SHA-256,
and Ed25519.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

# Bits of an RSA key.
_RSA_LEAST = 2048


@dataclass(frozen=True)
class Key:
    """A public key.

    Attributes:
        verify: Given a signature and what it is of, raises InvalidSignature of cryptography.
    """

    verify: Callable[[bytes, bytes], None]

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Tell whether a signature of the data is by this key."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@functools.lru_cache(maxsize=256)
def parse_key(pem: bytes) -> Key:
    """Return the key of a PEM text (SubjectPublicKeyInfo).

    Raises:
        ValueError: It is none, or of a kind that is not used here.
    """
    # Costs 0.1 s and 10 MB: only who demands signatures pays that.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"no public key in PEM: {error}") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        curve = key
        return Key(lambda signature, data: curve.verify(signature, data, ec.ECDSA(SHA256())))
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_LEAST:
        modulus = key
        return Key(
            lambda signature, data: modulus.verify(signature, data, padding.PKCS1v15(), SHA256())
        )
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Key(key.verify)
    raise ValueError(f"use ECDSA over P-256, Ed25519, or RSA with at least {_RSA_LEAST} bits")
