"""The JSON documents that say what an archive holds."""

from __future__ import annotations

import json
from typing import TypeVar

from scow.image.archives.archive import bad

Kind = TypeVar("Kind", dict, list)  # type: ignore[type-arg]


def parse_object(data: bytes, name: str, kind: type[Kind]) -> Kind:
    """Return a document.

    Raises:
        InvalidArchive: It is no JSON, or of another kind.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        bad("it is no JSON", name)
    if not isinstance(value, kind):
        bad(f"it is no {'object' if kind is dict else 'list'}", name)
    return value
