"""Manifests, as `docker manifest inspect` has them."""

from __future__ import annotations

import base64
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.api.image.v1.registry_pb2 import GetManifestResponse

    Document = dict[str, Any]

_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def document(found: GetManifestResponse) -> Document:
    """Return a manifest or index as it is written."""
    value: Document = json.loads(found.content)
    return value


def is_index(found: GetManifestResponse) -> bool:
    """Tell whether it is an index."""
    return not found.configuration.digest


def text(value: object, indent: str) -> str:
    """Return JSON with its keys in the order in which they are written."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def verbose(reference: str, found: GetManifestResponse, entry: Document | None = None) -> Document:
    """Return what `--verbose` tells of one manifest.

    Args:
        reference: As it is asked for.
        found: The manifest.
        entry: What its index says of it.
    """
    about = {
        "architecture": found.platform.architecture,
        "os": found.platform.os,
        "variant": found.platform.variant,
    }
    descriptor: Document = {
        "mediaType": found.media_type,
        "digest": found.digest,
        "size": len(found.content),
        "platform": {key: value for key, value in about.items() if value},
    }
    if entry is not None:
        descriptor |= {key: value for key, value in entry.items() if key not in descriptor}
        descriptor["platform"] = entry.get("platform", {})
    kind = "OCIManifest" if found.media_type == _OCI_MANIFEST else "SchemaV2Manifest"
    return {
        "Ref": reference,
        "Descriptor": descriptor,
        "Raw": base64.b64encode(found.content).decode(),
        kind: document(found),
    }
