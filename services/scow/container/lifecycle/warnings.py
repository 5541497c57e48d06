"""What a start could not give, as the caller is told of it."""

from __future__ import annotations

from pathlib import Path

from scow.container.model.containers import Entry
from scow.container.runtime import shim as shims

# How a shim begins to say that the engine has not got a capability itself, which it then names.
_LACKS = "the engine itself lacks "


def of_start(entry: Entry, state: Path) -> tuple[str, ...]:
    """Return the warnings of a container's start.

    A capability that the engine lacks is told to those who asked for it by name: privileged containers have what there
    is, as in Docker.

    Args:
        entry: Which container.
        state: Its state folder.
    """
    asked = {name.upper().removeprefix("CAP_") for name in entry.described.config.cap_add}
    return tuple(
        text
        for text in shims.warnings(state)
        if not text.startswith(_LACKS) or text.removeprefix(_LACKS).removeprefix("CAP_") in asked
    )
