"""What of a file is in the page cache."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path


def resident(path: Path) -> int:
    """Return how many bytes of a file are in the page cache, in whole pages (mincore(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        start = ctypes.c_char.from_buffer(view)
        pages = (len(view) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        found = (ctypes.c_ubyte * pages)()
        assert libc.mincore(ctypes.byref(start), ctypes.c_size_t(len(view)), found) == 0
        del start
        view.close()
    return sum(page & 1 for page in found) * mmap.PAGESIZE
