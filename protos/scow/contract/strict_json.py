"""JSON that strangers wrote, without what different programs read differently.

Two equal keys, half characters and NaN are legal to some parsers and something else to others: a document whose digest
is trusted must mean one thing. RFC 8259, sections 4, 6 and 8; RFC 7493.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def loads(data: bytes) -> Any:
    """Return the value of a document in UTF-8.

    Raises:
        ValueError: It is not JSON, nests too deep, or could mean several things.
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if b"\\u" in data:  # only so a half of a character comes in
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it nests too deep") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a number")
    return value


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")
