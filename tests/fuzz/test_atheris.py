"""A short run of each target that is led by coverage; `make fuzz` runs them for longer."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import QUICK

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris has no wheel for this Python and platform",
)


# Archives are written down.
_RUNS = {"archive": 400}


@pytest.mark.parametrize("target", QUICK)
def test_target(target: str, tmp_path: Path) -> None:
    bounds = [
        f"-runs={_RUNS.get(target, 2500)}",
        "-seed=1",
        "-max_len=4096",
        f"-artifact_prefix={tmp_path}/",
    ]
    command = [sys.executable, "-m", "tests.fuzz.atheris_run", target, *bounds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert list(tmp_path.iterdir()) == []
