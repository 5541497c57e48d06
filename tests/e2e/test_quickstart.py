"""The quick start does what the README says."""

from __future__ import annotations

import os
import subprocess

from tests.support.engine import PROJECT, Engine
from tests.support.net import free_port


def test_quickstart_on_a_running_engine(engine: Engine) -> None:
    """Everything but the start of the engine, which the other tests do."""
    port = free_port()
    environment = {**engine.env, "SCOW_RUN": str(engine.run), "PORT": str(port)}
    for _ in range(2):  # again is not an error
        done = subprocess.run(
            [PROJECT / "deploy/quickstart"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"http://127.0.0.1:{port}/ answers: <h1>Hello" in done.stdout


def test_quickstart_needs_root() -> None:
    done = subprocess.run(
        [PROJECT / "deploy/quickstart"],
        user=65534,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "run as root" in done.stderr
