"""Memory for streams: buffers of a megabyte that come and go thousands of times.

By default the C library gives each of them back to the kernel, which then fills new pages with zeros for the next one:
measured, that is half of the time that the service spends on a large archive. While something streams, freed memory
is kept; afterwards all of it is given back. mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from scow.core import memory

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_BUFFER_MAX = 32 << 20
_KEPT, _KEPT_AT_REST = 64 << 20, 4 << 20

_libc = ctypes.CDLL(None)
_streams = 0


@contextlib.contextmanager
def streaming() -> Iterator[None]:
    """Keep freed memory for the length of the block."""
    global _streams  # the memory is the process's: one count for all
    if not hasattr(_libc, "mallopt"):  # another C library
        yield
        return
    _streams += 1
    _libc.mallopt(_MMAP_THRESHOLD, _BUFFER_MAX)
    _libc.mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        _streams -= 1
        if _streams == 0:
            _libc.mallopt(_TRIM_THRESHOLD, _KEPT_AT_REST)
            memory.give_back()
