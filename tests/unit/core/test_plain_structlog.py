"""Services do not load what they never use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scow.core.config import SERVICES

_NEVER = {"rich", "pygments", "cryptography", "zstandard"}


@pytest.mark.parametrize("service", [*SERVICES, "scowd"])
def test_a_service_starts_without(service: str) -> None:
    code = f"import sys, scow.{service}.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "structlog" in loaded
    assert not loaded & _NEVER


def test_rich_can_be_loaded_later() -> None:
    code = "import scow.core.plain_structlog, sys; assert sys.modules.get('rich', 1) is not None"
    subprocess.run([sys.executable, "-c", code], check=True)
