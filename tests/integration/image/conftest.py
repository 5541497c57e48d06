"""An image service of its own for each test process."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator

import pytest

from tests.support.service import Service

SETTINGS = {
    "SCOW_IMAGE_STALL_SECONDS": "1",
    "SCOW_IMAGE_CONNECT_SECONDS": "2",
    "SCOW_IMAGE_RETRIES": "2",
    "SCOW_IMAGE_RETRY_AFTER_MAX_SECONDS": "2",
    "SCOW_IMAGE_MAX_LAYER_BYTES": str(64 << 20),
    "SCOW_IMAGE_MAX_LAYER_ENTRIES": "1000",
}


@pytest.fixture(scope="session")
def shared_service() -> Iterator[Service]:
    with Service("image", settings=SETTINGS) as running:
        yield running


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """The shared service; a test must leave it as it found it."""
    before = leftovers(shared_service)
    yield shared_service
    # What a client that went away had begun is undone after its call has ended.
    deadline = time.monotonic() + 10
    while leftovers(shared_service) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert leftovers(shared_service) == before


_KEYS = {
    "images": "id",
    "image_layers": "diff_id",
    "blobs": "digest",
    "manifests": "digest",
    "manifest_parts": "digest",
    "names": "reference",
    "repo_digests": "digest_reference",
    "layers": "diff_id",
    "snapshots": "owner",
    "leases": "id",
}


def leftovers(service: Service) -> dict[str, list[str]]:
    """Return what is in the folders and in the tables of the service."""
    found = {
        name: sorted(path.name for path in (service.data / name).iterdir())
        for name in ("layers", "snapshots", "blobs/sha256")
    }
    with contextlib.closing(
        sqlite3.connect(f"file:{service.data}/image.db?mode=ro", uri=True)
    ) as db:
        for table, key in _KEYS.items():
            rows = db.execute(f"SELECT {key} FROM {table} ORDER BY 1")
            found[f"table {table}"] = [row[0] for row in rows]
    return found
