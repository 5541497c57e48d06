"""A service that serves a registry, for each test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.distribution import Api
from tests.support.net import free_port
from tests.support.serving import Serving


@pytest.fixture(scope="session")
def serving() -> Iterator[Serving]:
    """A registry for everybody; tests use repositories of their own."""
    settings = {
        "SCOW_IMAGE_MAX_MANIFEST_BYTES": "65536",
        "SCOW_IMAGE_MAX_LAYERS": "100",
        "SCOW_SERVER_METRICS": f"127.0.0.1:{free_port()}",
    }
    with Serving(settings, max_upload_bytes=str(8 << 20), stall_seconds="3") as running:
        running.metrics = settings["SCOW_SERVER_METRICS"]
        yield running


@pytest.fixture
def api(serving: Serving) -> Api:
    return serving.api
