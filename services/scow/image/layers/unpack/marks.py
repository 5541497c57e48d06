"""What names of entries say beyond naming a file: whiteouts and opaque marks.

OCI image specification, layer.md, "Whiteouts". Every form of a layer asks here, so that all mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from scow.core.archive.read.faults import hostile
from scow.core.archive.read.headers import Entry

WHITEOUT = b".wh."
_AUFS = b".wh..wh."
OPAQUE = b".wh..wh..opq"


@dataclass(frozen=True)
class Mark:
    """An entry that hides something of lower layers.

    Attributes:
        directory: Where.
        hidden: The name that is hidden; empty when all that the directory has is.
    """

    directory: list[bytes]
    hidden: bytes = b""


def is_mark(parts: list[bytes]) -> bool:
    """Tell whether an entry's name has a part that makes it no file of the layer."""
    return WHITEOUT in b"/".join(parts) and any(part.startswith(WHITEOUT) for part in parts)


def mark_of(parts: list[bytes], entry: Entry) -> Mark | None:
    """Return what an entry for which `is_mark` is true hides; None when it means nothing.

    Raises:
        Fault: It hides what cannot be hidden.
    """
    *above, name = parts
    if any(part.startswith(_AUFS) for part in above):
        return None  # aufs' bookkeeping, which old Docker versions left in layers
    if is_mark(above):
        raise hostile("a whiteout is used as a directory", entry.name)
    if name == OPAQUE:
        return Mark(above)
    if name.startswith(_AUFS):
        return None
    hidden = name[len(WHITEOUT) :]
    if hidden in (b"", b".", b".."):
        raise hostile("a whiteout hides nothing", entry.name)
    return Mark(above, hidden)
