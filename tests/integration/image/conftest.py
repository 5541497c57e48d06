"""An image service of its own for each test process."""

from __future__ import annotations

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
    assert leftovers(shared_service) == before


def leftovers(service: Service) -> dict[str, list[str]]:
    """Return what is in the folders of the service."""
    return {
        name: sorted(path.name for path in (service.data / name).iterdir())
        for name in ("layers", "snapshots", "blobs/sha256")
    }
