"""The service killed between any two steps: see `kills`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.network.machines import host_and_neighbour
from tests.support.engine import PROJECT


def test_killed_between_any_two_steps(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.integration.network.kills", str(tmp_path)]
    with host_and_neighbour() as (host, _):
        done = subprocess.run(
            ["nsenter", f"--net={host.path}", *program],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-6000:]}"
    lines = [line for line in done.stdout.splitlines() if "killed at" in line]
    names = [line.partition(":")[0] for line in lines]
    assert names == ["create", "remove", "attach", "detach"]
