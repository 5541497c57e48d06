"""`python -m scow.core.archive.export ROOT`: writes the archive of the tree that a descriptor names to its output.

When something cannot be read it says so on its standard error and ends with exit code 1; when nobody reads what it
writes it ends silently.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from scow.core.archive.pack import Packer, Write

_PIECE = 1 << 18


class Output:
    """A descriptor, written to in large pieces."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Write what has been kept."""
        view = memoryview(bytes(self._buffer))
        self._buffer.clear()
        while view:
            view = view[os.write(self._descriptor, view) :]


def run(pack: Callable[[Write], None]) -> int:
    """Write an archive to standard output; return the exit code."""
    output = Output(sys.stdout.fileno())
    try:
        pack(output.write)
        output.flush()
    except BrokenPipeError:
        return 0
    except OSError as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(lambda write: Packer(write).pack(int(sys.argv[1]))))
