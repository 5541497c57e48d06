"""The documents at the top of an archive that we write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from scow.image.archives.oci_layout import INDEX, NAME_ANNOTATIONS
from scow.image.archives.plan import blob_name
from scow.image.archives.selection import Chosen
from scow.image.content.digests import digits_of
from scow.image.oci.manifests import OCI_INDEX
from scow.image.oci.reference import Reference


def oci_documents(chosen: Sequence[Chosen]) -> dict[str, bytes]:
    """Return what makes blobs an OCI layout (image-spec, image-layout.md)."""
    entries = [_entry(one, reference) for one in chosen for reference in one.references or [""]]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return {
        "oci-layout": _dump({"imageLayoutVersion": "1.0.0"}),
        INDEX: _dump(index),
    }


def docker_documents(chosen: Sequence[Chosen]) -> dict[str, bytes]:
    """Return what makes blobs a Docker archive: `manifest.json`, and `repositories` for the oldest readers."""
    images: dict[str, dict[str, Any]] = {}
    repositories: dict[str, dict[str, str]] = {}
    for one in chosen:
        config, *layers = one.image.parts
        entry = images.setdefault(
            config.digest,
            {
                "Config": blob_name(config.digest),
                "RepoTags": [],
                "Layers": [blob_name(layer.digest) for layer in layers],
            },
        )
        for reference in map(Reference.parse, one.references):
            entry["RepoTags"].append(reference.familiar)
            name = reference.familiar.rpartition(":")[0]
            top = digits_of((layers or [config])[-1].digest)
            repositories.setdefault(name, {})[reference.tag] = top
    entries = [{**entry, "RepoTags": entry["RepoTags"] or None} for entry in images.values()]
    found = {"manifest.json": _dump(entries)}
    return {**found, "repositories": _dump(repositories)} if repositories else found


def _entry(one: Chosen, reference: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mediaType": one.top.media_type,
        "digest": one.top.digest,
        "size": len(one.top.data),
    }
    if reference:
        entry["annotations"] = dict.fromkeys(NAME_ANNOTATIONS, reference)
    return entry


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
