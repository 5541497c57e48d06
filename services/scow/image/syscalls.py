"""System calls that Python 3.11 does not offer, for this service and its workers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import c_long

# The same on every architecture.
_NR_FSOPEN, _NR_FSCONFIG, _NR_FSMOUNT = 430, 431, 432
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _SET_FD, _CREATE = 0, 1, 5, 6

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = c_long


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def mount_nowhere(kind: str, options: Sequence[tuple[str, str | int | None]]) -> int:
    """Mount a file system without attaching it (fsopen(2), fsconfig(2), fsmount(2)); return its descriptor.

    Args:
        kind: Of the file system.
        options: Names with a string, a descriptor, or None for a flag.
    """
    context = _call(_NR_FSOPEN, kind.encode(), _CLOEXEC)
    try:
        for key, value in options:
            if isinstance(value, str):
                _call(_NR_FSCONFIG, context, _SET_STRING, key.encode(), os.fsencode(value), 0)
            elif value is None:
                _call(_NR_FSCONFIG, context, _SET_FLAG, key.encode(), None, 0)
            else:
                _call(_NR_FSCONFIG, context, _SET_FD, key.encode(), None, value)
        _call(_NR_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_NR_FSMOUNT, context, _CLOEXEC, 0)
    finally:
        os.close(context)


def _call(number: int, *arguments: int | bytes | None) -> int:
    words = [c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(int(_libc.syscall(c_long(number), *words)))
