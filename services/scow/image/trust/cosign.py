"""Signatures as cosign makes them with a key.

A signature is a layer of a manifest: the blob is what was signed, "simple signing" JSON that names a digest and a
repository; an annotation has the signature itself. The manifest has the tag sha256-<digits>.sig, or refers to the
signed one.
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md, containers-signature(5)
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from scow.contract.errors import InvalidReference
from scow.image.oci.manifests import Descriptor, Document
from scow.image.oci.reference import Reference

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
# Bytes of what is signed; and how many signatures of one manifest are looked at.
PAYLOAD_MAX = 1 << 16
SIGNATURES_MAX = 32
_ANNOTATION = "dev.cosignproject.cosign/signature"
_TYPE = "cosign container image signature"


@dataclass(frozen=True)
class Signature:
    """A signature: the blob of what was signed, and the signature of its bytes."""

    payload: Descriptor
    value: bytes


def tag_of(digest: str) -> str:
    """Return the tag that the signatures of a manifest have."""
    return f"{digest.replace(':', '-', 1)}.sig"


def signatures(document: Document) -> list[Signature]:
    """Return the signatures that a manifest holds; what is none is passed over."""
    if document.is_index:
        return []
    layers = json.loads(document.data).get("layers", [])
    found = []
    for descriptor, layer in zip(document.parts[1:], layers, strict=True):
        value = _value(layer)
        if descriptor.media_type == PAYLOAD_TYPE and value and descriptor.size <= PAYLOAD_MAX:
            found.append(Signature(descriptor, value))
    return found[:SIGNATURES_MAX]


def _value(layer: dict[str, Any]) -> bytes:
    annotations = layer.get("annotations")
    text = annotations.get(_ANNOTATION) if isinstance(annotations, dict) else None
    if not isinstance(text, str):
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def contradiction(payload: bytes, digest: str, reference: Reference) -> str:
    """Return in what the signed JSON is not about a manifest of a repository; empty when it is.

    Args:
        payload: What was signed.
        digest: Of the manifest.
        reference: By which it is used. A tag counts only when the signature names one too.
    """
    try:
        critical = json.loads(payload)["critical"]
        kind = critical["type"]
        signed = critical["image"]["docker-manifest-digest"]
        identity = critical["identity"]["docker-reference"]
        named = Reference.parse(identity)
    except (ValueError, TypeError, KeyError, RecursionError, InvalidReference):
        return "is not about an image"
    if kind != _TYPE:
        return f"is a {str(kind)[:60]!r}"
    if signed != digest:
        return f"is for the digest {str(signed)[:80]}"
    if named.repository != reference.repository:
        return f"is for the repository {named.repository}"
    has_tag = identity.rpartition("/")[2].partition("@")[0].find(":") > 0
    if has_tag and reference.tag and named.tag not in ("", reference.tag):
        return f"is for the tag {named.tag}"
    return ""
