"""The JSON documents that say what an archive holds."""

from __future__ import annotations

from typing import TypeVar

from scow.contract import strict_json
from scow.image.archives.archive import bad

Kind = TypeVar("Kind", dict, list)  # type: ignore[type-arg]


def parse_object(data: bytes, name: str, kind: type[Kind]) -> Kind:
    """Return a document.

    Raises:
        InvalidArchive: It is not JSON, or of another kind.
    """
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        bad(f"it is not JSON: {error}", name)
    if not isinstance(value, kind):
        bad(f"it is no {'object' if kind is dict else 'list'}", name)
    return value
