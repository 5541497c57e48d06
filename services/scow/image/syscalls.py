"""System calls that Python 3.11 does not offer, for this service and its workers."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from ctypes import c_int, c_int64, c_long, c_ulong

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_SYNC_FILE_RANGE_WRITE = 2
# The same on every architecture.
_NR_FSOPEN, _NR_FSCONFIG, _NR_FSMOUNT, _NR_OPENAT2 = 430, 431, 432, 437
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _SET_FD, _CREATE = 0, 1, 5, 6
_OPENAT2_RETRIES = 16

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = c_long
_libc.prctl.argtypes = (c_int, c_ulong, c_ulong, c_ulong, c_ulong)


class _OpenHow(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", c_int))


class _CapData(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def openat2(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """Open beneath a directory (openat2(2)); tried again when a rename elsewhere raced a "..".

    The descriptor is close-on-exec.
    """
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=resolve)
    size = c_long(ctypes.sizeof(how))
    for _ in range(_OPENAT2_RETRIES):
        result = _libc.syscall(
            c_long(_NR_OPENAT2), c_long(directory), path, ctypes.byref(how), size
        )
        if result >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    return _check(int(result))


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


def start_writing(descriptor: int, offset: int, size: int) -> None:
    """Let the kernel begin to write a part of a file to its disk (sync_file_range(2)); a hint, no promise."""
    _libc.sync_file_range(c_int(descriptor), c_int64(offset), c_int64(size), _SYNC_FILE_RANGE_WRITE)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent process ends; end now if it has ended already (prctl(2))."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


def keep_capabilities(wanted: int) -> None:
    """Give up for good all capabilities but the wanted ones, a set of bits, as far as they are held."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    _check(_libc.capget(ctypes.byref(header), data))
    for index in (0, 1):
        kept = data[index].permitted & (wanted >> 32 * index & 0xFFFFFFFF)
        data[index].effective = data[index].permitted = kept
        data[index].inheritable = 0
    _check(_libc.capset(ctypes.byref(header), data))
