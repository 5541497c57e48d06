"""The compressor: a process that the keeper forks, makes a compressed copy of one file, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NoReturn

from scow.kernel import syscalls

_BLOCK = 256 << 10
# The output of programs gets little smaller with more effort.
_LEVEL = 1
_DESCRIPTORS = 1 << 20
_GZIP = 31  # windowBits of zlib for gzip


def main(source: int, target: str) -> NoReturn:
    """Compress, in the forked child. Does not return; the exit code is 0 when the target is whole."""
    code = 1
    try:
        os.dup2(source, 0)
        os.closerange(
            3, _DESCRIPTORS
        )  # the container's pipes and its sessions are the keeper's alone
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, int(signal.SIGKILL))
        with contextlib.suppress(OSError):
            os.nice(10)
        compress(0, target)
        code = 0
    finally:
        os._exit(code)


def compress(source: int, target: str) -> None:
    """Write what a file has, compressed, to another one; `source` is its descriptor."""
    import zlib

    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    written = os.open(target, flags, 0o640)
    while data := os.read(source, _BLOCK):
        _write(written, packer.compress(data))
    _write(written, packer.flush())


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
