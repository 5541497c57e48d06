"""The worker's part of imports in a compression that layers must not have: they are decompressed while they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from scow.core.archive.read.faults import LIMIT, Fault

# Between two reports.
_STRIDE = 4 << 20


def expand(
    pieces: Iterator[bytes], file: int, limit: int, tell: Callable[[dict[str, Any]], None]
) -> None:
    """Write decompressed pieces to a file, and tell how far it is.

    Raises:
        Fault: There is more than the limit allows, or the bytes cannot be decompressed.
    """
    written = told = 0
    for piece in pieces:
        if written + len(piece) > limit:
            raise Fault(LIMIT, f"the layer is larger than {limit} bytes")
        view = memoryview(piece)
        while view:
            view = view[os.write(file, view) :]
        written += len(piece)
        if written - told >= _STRIDE:
            tell({"written": written})
            told = written
    tell({"written": written})
