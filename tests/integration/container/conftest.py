import os
from collections.abc import Iterator

import pytest

from tests.integration.container.node import Node


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes real containers")
    with Node() as running:
        yield running
