"""Attestations as registries keep them."""

from __future__ import annotations

import hashlib
import json

from scow.build.attestation.bundle import Image, Statement, make
from scow.image.oci import manifests

DIGEST = "sha256:" + "1" * 64
IMAGE = Image(DIGEST, 500, "linux/arm/v7", names=("pkg:docker/app@1",))


def test_an_index_with_what_is_said_about_its_image() -> None:
    bundle = make([(IMAGE, [Statement("https://x/y", {"a": "\u00e9"})])], {"k": "v"})
    index = json.loads(bundle.index)
    image, attestation = index["manifests"]
    assert image["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"] == {
        "vnd.docker.reference.digest": DIGEST,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    manifest = json.loads(bundle.blobs[attestation["digest"]])
    (layer,) = manifest["layers"]
    assert (layer["mediaType"], layer["annotations"]) == (
        "application/vnd.in-toto+json",
        {"in-toto.io/predicate-type": "https://x/y"},
    )
    assert json.loads(bundle.blobs[layer["digest"]]) == {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://x/y",
        "subject": [{"name": "pkg:docker/app@1", "digest": {"sha256": "1" * 64}}],
        "predicate": {"a": "\u00e9"},
    }
    assert index["annotations"] == {"k": "v"}


def test_digests_and_sizes_are_right() -> None:
    bundle = make([(IMAGE, [Statement("t", {})]), (Image(DIGEST, 1, "linux/amd64"), [])])
    assert len(json.loads(bundle.index)["manifests"]) == 3
    for digest, data in bundle.blobs.items():
        assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    for data in bundle.blobs.values():
        value = json.loads(data)
        for part in (
            *value.get("layers", ()),
            *([value["config"]] if "mediaType" in value else ()),
        ):
            assert len(bundle.blobs[part["digest"]]) == part["size"]
    assert bundle.digest == f"sha256:{hashlib.sha256(bundle.index).hexdigest()}"


def test_the_image_service_reads_it() -> None:
    bundle = make([(IMAGE, [Statement("t", {})])])
    document = manifests.parse_document(bundle.index, manifests.OCI_INDEX, 10)
    assert document.is_index
    assert document.platforms[1] is None
    parsed = manifests.parse_document(
        bundle.blobs[document.parts[1].digest], manifests.OCI_MANIFEST, 10
    )
    assert not parsed.is_image


def test_the_same_gives_the_same_bytes() -> None:
    first = make([(IMAGE, [Statement("t", {"a": 1})])])
    assert first == make([(IMAGE, [Statement("t", {"a": 1})])])
