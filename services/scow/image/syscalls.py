"""System calls that Python 3.11 does not offer, for this service and its workers."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_int, c_int64, c_long, c_ulong

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_SYNC_FILE_RANGE_WRITE = 2
_NR_OPENAT2 = 437  # the same on every architecture
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


def syncfs(descriptor: int) -> None:
    """Write all of a file system to its disk (syncfs(2))."""
    _check(_libc.syncfs(descriptor))


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
