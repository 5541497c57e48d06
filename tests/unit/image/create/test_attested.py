"""What is said about images: read within bounds, whatever the documents have."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scow.api.image.v1 import layer_pb2 as pb
from scow.contract.errors import LimitExceeded
from scow.core.config import ImageSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.image.catalog.images import Images
from scow.image.content.blobs import Blobs
from scow.image.content.digests import digest_of
from scow.image.create.attested import AttestedImages
from scow.image.gc.leases import Leases
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import MIGRATIONS, Image, ImageStore
from scow.image.oci import manifests
from scow.image.oci.reference import Reference

CONFIGURATION = json.dumps(
    {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
).encode()
REFERENCE = "docker.io/library/a:1"
PREDICATE = "https://slsa.dev/provenance/v1"


class CountedBlobs(Blobs):
    """Blobs that note which were read, and in which threads."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.reads: list[str] = []
        self.threads: set[int] = set()

    def read(self, digest: str) -> bytes:
        self.reads.append(digest)
        self.threads.add(threading.get_ident())
        return super().read(digest)


def descriptor(data: bytes, kind: str = "application/octet-stream", **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


def manifest(config: bytes, *layers: dict[str, Any]) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": manifests.OCI_MANIFEST,
        "config": descriptor(config),
        "layers": layers,
    }
    return json.dumps(value).encode()


OWN = manifest(CONFIGURATION)


def attestation(number: int, *statements: bytes) -> bytes:
    """Return a manifest that says something, and is no image here."""
    annotations = {"in-toto.io/predicate-type": PREDICATE}
    layers = [descriptor(each, annotations=annotations) for each in statements]
    return manifest(b"configuration %d" % number, *layers)


def about(data: bytes, digest: str = "") -> dict[str, Any]:
    """Return the entry of an index for a manifest that says something about OWN."""
    annotations = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": digest_of(OWN),
    }
    entry = descriptor(data, manifests.OCI_MANIFEST, annotations=annotations)
    return {**entry, "digest": digest or entry["digest"]}


@dataclass
class Shelf:
    """A store, and what reads it."""

    rows: ImageStore
    blobs: CountedBlobs
    records: Records
    attested: AttestedImages

    def put(self, entries: list[dict[str, Any]], given: list[bytes], blobs: list[bytes]) -> Image:
        """Record an index as `a:1`, with manifests beside OWN and statements; return the image."""
        entries = [descriptor(OWN, manifests.OCI_MANIFEST), *entries]
        value = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": entries}
        documents = [
            *(
                manifests.parse_document(each, manifests.OCI_MANIFEST, 1000)
                for each in (OWN, *given)
            ),
            manifests.parse_document(json.dumps(value).encode(), manifests.OCI_INDEX, 1000),
        ]
        content = Content(
            documents,
            {digest_of(CONFIGURATION): CONFIGURATION},
            references=[REFERENCE],
            blobs={digest_of(each): each for each in blobs},
        )
        asyncio.run(self.records.put(content, ""))
        self.blobs.reads.clear()
        image = self.rows.image(digest_of(CONFIGURATION))
        assert image is not None
        return image


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    store = Store.open(tmp_path / "image.db", MIGRATIONS)
    rows, blobs, leases = ImageStore(store), CountedBlobs(tmp_path), Leases()
    journal = Journal(store, "test", 100)
    records = Records(rows, blobs, leases, journal)
    images = Images(rows, blobs, journal)
    return Shelf(
        rows, blobs, records, AttestedImages(ImageSection(), rows, blobs, leases, records, images)
    )


def test_each_document_and_statement_is_read_once(shelf: Shelf) -> None:
    first, second = attestation(1, b"one", b"one", b"two"), attestation(2, b"two")
    image = shelf.put([about(first)] * 50 + [about(second)] * 50, [first, second], [b"one", b"two"])
    found = asyncio.run(shelf.attested.read(REFERENCE, image))
    assert [each.statement for each in found] == [b"one", b"two"]
    assert {each.predicate_type for each in found} == {PREDICATE}
    assert len(shelf.blobs.reads) == len(set(shelf.blobs.reads)) == 5


def test_statements_that_no_message_holds_are_not_read(shelf: Shelf) -> None:
    big = [bytes([number]) * (11 << 20) for number in range(3)]
    given = [attestation(number, data) for number, data in enumerate(big)]
    image = shelf.put([about(each) for each in given], given, big)
    with pytest.raises(LimitExceeded):
        asyncio.run(shelf.attested.read(REFERENCE, image))
    assert not {digest_of(data) for data in big} & set(shelf.blobs.reads)


def test_nothing_is_read_on_the_loop(shelf: Shelf) -> None:
    given = attestation(1, b"one")
    image = shelf.put([about(given)], [given], [b"one"])
    asyncio.run(shelf.attested.read(REFERENCE, image))
    assert threading.get_ident() not in shelf.blobs.threads


def test_what_an_index_names_by_another_algorithm_keeps_its_name(shelf: Shelf) -> None:
    shelf.put([], [], [])
    given = attestation(1)
    digest = digest_of(given, "sha512")
    document = manifests.parse_document(given, manifests.OCI_MANIFEST, 10, digest)
    asyncio.run(shelf.records.put(Content([document]), ""))
    value = {
        "schemaVersion": 2,
        "mediaType": manifests.OCI_INDEX,
        "manifests": [descriptor(OWN, manifests.OCI_MANIFEST), about(given, digest)],
    }
    request = pb.MakeIndexRequest(index=json.dumps(value).encode(), manifests=[OWN])
    asyncio.run(shelf.attested.make(request, [Reference.parse(REFERENCE)], lambda tx, image: None))
    assert shelf.rows.blob_size(digest) == len(given)
    assert shelf.rows.blob_size(digest_of(given)) is None
