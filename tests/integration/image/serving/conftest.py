"""A service that serves a registry, for each test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.distribution import Api
from tests.support.serving import Serving


@pytest.fixture(scope="session")
def serving() -> Iterator[Serving]:
    """A registry for everybody; tests use repositories of their own."""
    limits = {"SCOW_IMAGE_MAX_MANIFEST_BYTES": "65536", "SCOW_IMAGE_MAX_LAYERS": "100"}
    with Serving(limits, max_upload_bytes=str(8 << 20), stall_seconds="3") as running:
        yield running


@pytest.fixture
def api(serving: Serving) -> Api:
    return serving.api
