"""What the tests of the command line share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.engine import BIN, Engine
from tests.support.terminal import Terminal


def shown(engine: Engine, name: str) -> Any:
    """Return what `scow inspect` tells of one object."""
    (shape,) = json.loads(engine.cli("inspect", name).stdout)
    return shape


def mounts_of(engine: Engine) -> list[str]:
    """Return the mounts in the engine's folder that the host sees."""
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in mounted if str(engine.base) in line]


def field(engine: Engine, name: str, template: str) -> str:
    """Return what a template makes of one object."""
    return engine.cli("inspect", "-f", template, name).stdout.removesuffix("\n")


def terminal(engine: Engine, *arguments: str) -> Terminal:
    """Return a terminal on which `scow ARGUMENTS` runs."""
    return Terminal([str(BIN / "scow"), *arguments], engine.env)
