"""How the C library keeps memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Prints whether what a thread allocates lies in the heap of the process, which the first thread has.
_PROGRAM = """
import ctypes, pathlib, sys, threading
from scow.core import memory
if sys.argv[1] == "shared":
    memory.share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_size_t
found = []
thread = threading.Thread(target=lambda: found.append(libc.malloc(10_000)))
thread.start()
thread.join()
maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
heap = [line.split()[0].split("-") for line in maps if line.endswith("[heap]")]
print(any(int(start, 16) <= found[0] < int(end, 16) for start, end in heap))
memory.give_back()
"""


@pytest.mark.parametrize(("how", "in_heap"), [("shared", "True"), ("apart", "False")])
def test_threads_share_the_heap(how: str, in_heap: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == in_heap
