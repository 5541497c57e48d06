"""What the spawner loads is what each shim carries."""

from __future__ import annotations

import subprocess
import sys


def test_the_shim_is_lean() -> None:
    script = "import scow.shim.spawner.server, sys; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        .stdout.split()
    )  # fmt: skip
    heavy = {"grpc", "pyroute2", "structlog", "aiohttp", "sqlite3", "email", "http", "xml"}
    assert not loaded & heavy
    assert len(loaded) < 320
