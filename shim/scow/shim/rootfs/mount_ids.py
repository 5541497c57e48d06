"""Which mounts of a container may be taken away while it runs: `mounts.json` of the state directory.

A mount is known by its id (proc_pid_mountinfo(5)), which stays with it as long as it is mounted anywhere. Its path does
not: the image may have a link on the way to it, and processes of the container may rename what is above.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from scow.contract import paths

FILE = "mounts.json"


def read(state_dir: str) -> dict[str, int]:
    """Return ids by the destinations that the configuration, or whoever attached them, named."""
    try:
        with open(os.path.join(state_dir, FILE), "rb") as file:
            found: dict[str, int] = json.load(file)
    except FileNotFoundError:
        return {}
    return found


def add(state_dir: str, ids: Mapping[str, int]) -> None:
    """Record further mounts. No fsync: no mount survives the machine."""
    known = read(state_dir) | {paths.shortest(key): value for key, value in ids.items()}
    path = os.path.join(state_dir, FILE)
    with open(f"{path}.tmp", "w", encoding="ascii") as file:
        json.dump(known, file)
    os.rename(f"{path}.tmp", path)
