"""Signatures of images, as cosign makes them with a key: the form is that of its SIGNATURE_SPEC.md.

cosign itself is not a package of Debian 12; what it writes is made here with the library cryptography.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.badregistry import CONFIG, MANIFEST
from tests.support.content import INDEX, Content, Entry

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key(kind: str = "ecdsa") -> Private:
    """Return a new key: "ecdsa", "rsa" or "ed25519"."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: Private) -> str:
    """Return the public key as cosign writes it to cosign.pub."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def payload_of(repository: str, digest: str) -> bytes:
    """Return what is signed: that a digest belongs to a repository."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def sign(key: Private, data: bytes) -> bytes:
    """Return the signature of bytes."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(SHA256()))


def signature_manifest(
    content: Content, key: Private, payload: bytes, signed: bytes | None = None, **more: Any
) -> Entry:
    """Put what is signed; return the manifest with its signature.

    Args:
        content: The repository.
        key: Who signs.
        payload: What the manifest says is signed.
        signed: What is signed indeed; None means the same.
        more: Further keys of the manifest.
    """
    value = base64.b64encode(sign(key, signed or payload)).decode()
    layer = {
        **content.blob(payload, PAYLOAD),
        "annotations": {"dev.cosignproject.cosign/signature": value},
    }
    config = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers"}}
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": content.blob(json.dumps(config).encode(), CONFIG),
        "layers": [layer],
        **more,
    }


def sign_by_tag(
    content: Content,
    key: Private,
    digest: str,
    repository: str = "",
    payload: bytes = b"",
    signed: bytes | None = None,
) -> None:
    """Sign a manifest as `cosign sign --key` does: at the tag sha256-<digits>.sig."""
    payload = payload or payload_of(repository or content.repository, digest)
    manifest = signature_manifest(content, key, payload, signed)
    content.put(manifest, MANIFEST, f"{digest.replace(':', '-')}.sig")


def sign_by_referrer(content: Content, key: Private, subject: Entry) -> None:
    """Sign a manifest by one that refers to it, listed under the tag that stands for the referrers API."""
    digest = subject["digest"]
    plain = {name: subject[name] for name in ("mediaType", "digest", "size")}
    manifest = signature_manifest(
        content,
        key,
        payload_of(content.repository, digest),
        subject=plain,
        artifactType=ARTIFACT,
    )
    entry = content.put(manifest, MANIFEST)
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{**entry, "artifactType": ARTIFACT}],
    }
    content.put(index, INDEX, digest.replace(":", "-"))
