"""What is on record of content that has arrived, and what its names mean on this machine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scow.contract.errors import InvalidManifest
from scow.core.journal import Journal
from scow.core.store import Store
from scow.image.content.blobs import Blobs
from scow.image.content.digests import digest_of
from scow.image.gc.leases import Leases
from scow.image.metadata import records
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import MIGRATIONS, ImageStore
from scow.image.oci.manifests import Document, parse_document
from scow.image.oci.platforms import Platform

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def _document(media_type: str, **values: Any) -> Document:
    data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **values}).encode()
    return parse_document(data, media_type, 100)


def _image(architecture: str) -> tuple[Document, bytes]:
    """Return the manifest and the configuration of an image of one layer."""
    layer = digest_of(architecture.encode())
    config = {
        "os": "linux",
        "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    }
    data = json.dumps(config).encode()
    described = {"mediaType": _CONFIG, "digest": digest_of(data), "size": len(data)}
    layers = [{"mediaType": _LAYER, "digest": layer, "size": 5}]
    return _document(_MANIFEST, config=described, layers=layers), data


def _index(*documents: Document) -> Document:
    entries = [
        {"mediaType": _MANIFEST, "digest": each.digest, "size": len(each.data)}
        for each in documents
    ]
    return _document(_INDEX, manifests=entries)


@dataclass
class Shelf:
    """Records over tables of their own."""

    rows: ImageStore
    store: Store
    records: Records

    def put(self, content: Content) -> str | None:
        """Record one content as pulled."""
        return asyncio.run(self.records.put(content, "pull"))

    @property
    def events(self) -> list[tuple[str, str]]:
        """Actions of the journal, each with what it is about."""
        rows = self.store.all("SELECT action, object_id FROM journal ORDER BY revision")
        return [(row["action"], row["object_id"]) for row in rows]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    store = Store.open(tmp_path / "image.db", MIGRATIONS)
    rows = ImageStore(store)
    made = Records(rows, Blobs(tmp_path), Leases(), Journal(store, "test", 100))
    return Shelf(rows, store, made)


def test_an_image_is_recorded_with_its_names_in_one(shelf: Shelf) -> None:
    manifest, config = _image("amd64")
    names, by_digest = ["docker.io/a:1", "docker.io/a:2"], [f"docker.io/a@{manifest.digest}"]
    image = shelf.put(Content([manifest], {digest_of(config): config}, names, by_digest))
    assert image == digest_of(config)
    assert shelf.rows.names(image) == names
    assert shelf.rows.repo_digests(image) == by_digest
    assert shelf.rows.blobs().keys() == {manifest.digest, image}
    assert shelf.events == [("pull", image)]


def test_the_same_again_adds_names_alone(shelf: Shelf) -> None:
    manifest, config = _image("amd64")
    first = shelf.put(Content([manifest], {digest_of(config): config}, ["docker.io/a:1"]))
    # The configuration is here: it may be left out.
    assert shelf.put(Content([manifest], {}, ["docker.io/a:2"])) == first
    assert len(shelf.rows.images()) == 1
    assert first is not None
    assert shelf.rows.names(first) == ["docker.io/a:1", "docker.io/a:2"]


def test_a_name_means_the_last_image_that_it_was_given_to(shelf: Shelf) -> None:
    for architecture in ("amd64", "arm64"):
        manifest, config = _image(architecture)
        image = shelf.put(Content([manifest], {digest_of(config): config}, ["docker.io/a:1"]))
        known = shelf.rows.name("docker.io/a:1")
        assert known is not None
        assert (known.image, known.manifest) == (image, manifest.digest)
    assert len(shelf.rows.images()) == 2


@pytest.mark.parametrize(("here", "expected"), [("arm64", "arm64"), ("s390x", "amd64")])
def test_an_index_means_the_machines_image_or_else_the_first(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, here: str, expected: str
) -> None:
    monkeypatch.setattr(records, "host", lambda: Platform("linux", here))
    images = {architecture: _image(architecture) for architecture in ("amd64", "arm64")}
    documents = [document for document, _ in images.values()]
    configurations = {digest_of(data): data for _, data in images.values()}
    whole = Content([*documents, _index(*documents)], configurations, ["docker.io/a:1"])
    assert shelf.put(whole) == digest_of(images[expected][1])
    known = shelf.rows.name("docker.io/a:1")
    assert known is not None
    assert known.manifest == _index(*documents).digest


def test_an_index_of_images_that_did_not_come_means_none(shelf: Shelf) -> None:
    manifest, _ = _image("arm64")
    index = _index(manifest)
    content = Content([index], {}, ["docker.io/a:1"], origins={index.digest: "docker.io/a"})
    assert shelf.put(content) is None
    assert [name.manifest for name in shelf.rows.names_without_image()] == [index.digest]
    assert shelf.events == [("pull", index.digest)]


def test_all_contents_or_none(shelf: Shelf) -> None:
    manifest, config = _image("amd64")
    other, _ = _image("arm64")
    good = Content([manifest], {digest_of(config): config}, ["docker.io/a:1"])
    bad = Content([other], {other.parts[0].digest: b"[]"}, ["docker.io/b:1"])
    with pytest.raises(InvalidManifest):
        asyncio.run(shelf.records.put_all([good, bad], "load"))
    assert not shelf.rows.images()
    assert not shelf.rows.all_names()
    assert shelf.events == []
