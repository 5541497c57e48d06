"""Attestations as registries keep them: in-toto statements in a manifest of their own, beside the image's in its index.

https://github.com/in-toto/attestation/blob/main/spec/v0.1.0/statement.md
https://docs.docker.com/build/metadata/attestations/attestation-storage/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1"
_LAYER = "application/vnd.in-toto+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_PREDICATE = "in-toto.io/predicate-type"
_KIND = "vnd.docker.reference.type"
_SUBJECT = "vnd.docker.reference.digest"
ATTESTATION = "attestation-manifest"


@dataclass(frozen=True)
class Image:
    """An image that is attested.

    Attributes:
        digest, size, media_type: Of its manifest.
        platform: "linux/arm64/v8".
        names: References by which it will be known; may be none.
    """

    digest: str
    size: int
    platform: str
    media_type: str = _MANIFEST
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statement:
    """What is said about an image: a predicate of a type."""

    predicate_type: str
    predicate: Mapping[str, Any]


@dataclass
class Bundle:
    """An index with images and what is said about them.

    Attributes:
        blobs: By digest, all that is new: statements, configurations, manifests of attestations.
        index: The index.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    index: bytes = b""

    def divided(self) -> tuple[list[bytes], list[bytes]]:
        """Return the manifests among the blobs, and the others."""
        named = {entry["digest"] for entry in json.loads(self.index)["manifests"]}
        manifests = [data for digest, data in self.blobs.items() if digest in named]
        return manifests, [data for digest, data in self.blobs.items() if digest not in named]

    @property
    def digest(self) -> str:
        """Digest of the index."""
        return _digest(self.index)


def make(
    attested: Sequence[tuple[Image, Sequence[Statement]]],
    annotations: Mapping[str, str] | None = None,
) -> Bundle:
    """Return the index of images, each with its statements; the same ones always give the same bytes.

    Args:
        attested: Images in the order that the index shall have.
        annotations: Of the index.
    """
    bundle = Bundle()
    images, attestations = [], []
    for image, statements in attested:
        images.append(_descriptor(image.digest, image.size, image.media_type, image.platform))
        if statements:
            attestations.append(_attest(bundle, image, statements))
    value: dict[str, Any] = {"schemaVersion": 2, "mediaType": _INDEX}
    value["manifests"] = [*images, *attestations]
    if annotations:
        value["annotations"] = dict(sorted(annotations.items()))
    bundle.index = _json(value)
    return bundle


def _attest(bundle: Bundle, image: Image, statements: Sequence[Statement]) -> dict[str, Any]:
    """Make the manifest of an image's attestations; return its descriptor."""
    layers = []
    for statement in statements:
        data = _json(_statement(image, statement))
        layer = _blob(bundle, data, _LAYER)
        layer["annotations"] = {_PREDICATE: statement.predicate_type}
        layers.append(layer)
    config = {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _blob(bundle, _json(config), _CONFIG),
        "layers": layers,
    }
    data = _json(manifest)
    bundle.blobs[_digest(data)] = data
    found = _descriptor(_digest(data), len(data), _MANIFEST, "unknown/unknown")
    found["annotations"] = {_SUBJECT: image.digest, _KIND: ATTESTATION}
    return found


def _statement(image: Image, statement: Statement) -> dict[str, Any]:
    algorithm, _, value = image.digest.partition(":")
    names = image.names or ("_",)
    return {
        "_type": STATEMENT_TYPE,
        "predicateType": statement.predicate_type,
        "subject": [{"name": name, "digest": {algorithm: value}} for name in names],
        "predicate": statement.predicate,
    }


def _descriptor(digest: str, size: int, media_type: str, platform: str) -> dict[str, Any]:
    os, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    about = {"architecture": architecture, "os": os}
    if variant:
        about["variant"] = variant
    return {"mediaType": media_type, "digest": digest, "size": size, "platform": about}


def _blob(bundle: Bundle, data: bytes, media_type: str) -> dict[str, Any]:
    digest = _digest(data)
    bundle.blobs[digest] = data
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
