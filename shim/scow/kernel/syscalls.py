"""System calls that Python 3.11 does not offer, through ctypes.

One thin function a call: arguments as the manual page has them, OSError on failure. Nothing here has
an opinion. Numbers above 423 are the same on every architecture.

The library is opened as a PyDLL, which keeps the interpreter lock during a call: every process of this
package is single-threaded, so there is nobody to hand it to, and clone3 must not release it. What may take long, and
services call in threads, is in `_waiting`, which releases it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_char_p, c_int, c_int64, c_long, c_size_t, c_uint, c_ulong, c_void_p
from typing import Any

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

CLONE_NEWTIME = 0x00000080
CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

OPEN_TREE_CLONE = 1
MOUNT_ATTR_IDMAP = 0x100000
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6

_OPENAT2_RETRIES = 16
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

RENAME_EXCHANGE = 2

# f_type of procfs (statfs(2)).
PROC_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572

_SYNC_FILE_RANGE_WRITE = 2

AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
_STATX_MNT_ID = 0x1000
_STATX_SIZE, _STX_MNT_ID = 256, 144

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_MACHINE = os.uname().machine
if _MACHINE == "x86_64":
    _NR_PIVOT_ROOT, _NR_SECCOMP, _NR_BPF, _NR_CAPSET, _NR_KEYCTL = 155, 317, 321, 126, 250
    _NR_CAPGET = 125
elif _MACHINE == "aarch64":
    _NR_PIVOT_ROOT, _NR_SECCOMP, _NR_BPF, _NR_CAPSET, _NR_KEYCTL = 41, 277, 280, 91, 219
    _NR_CAPGET = 90
else:
    raise ImportError(f"scow does not know the system call numbers of {_MACHINE}")
_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_FSOPEN = 430
_NR_FSCONFIG = 431
_NR_FSMOUNT = 432
_NR_CLONE3 = 435
_NR_CLOSE_RANGE = 436
_NR_OPENAT2 = 437
_NR_MOUNT_SETATTR = 442
_NR_QUOTACTL_FD = 443

_libc = ctypes.PyDLL(None, use_errno=True)
_waiting = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = c_long
_libc.mount.argtypes = (c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_libc.umount2.argtypes = (c_char_p, c_int)
_waiting.syncfs.argtypes = (c_int,)
_waiting.sync_file_range.argtypes = (c_int, c_int64, c_int64, c_uint)
_libc.renameat2.argtypes = (c_int, c_char_p, c_int, c_char_p, c_uint)
_libc.setns.argtypes = (c_int, c_int)
_libc.unshare.argtypes = (c_int,)
_libc.prctl.argtypes = (c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_libc.sethostname.argtypes = (c_char_p, c_size_t)
_libc.setdomainname.argtypes = (c_char_p, c_size_t)


_libc.signal.argtypes = (c_int, c_void_p)
_libc.signal.restype = c_void_p
_libc.sigprocmask.argtypes = (c_int, c_void_p, c_void_p)
_libc.signalfd.argtypes = (c_int, c_void_p, c_int)
_libc.fork.argtypes = ()
_libc.clone.argtypes = (c_void_p, c_void_p, c_int, c_void_p)
_libc.setfsuid.argtypes = (c_int,)
_libc.setfsgid.argtypes = (c_int,)
_libc.statx.argtypes = (c_int, c_char_p, c_int, c_uint, c_void_p)

_CLONE_VM = 0x100
_STACK = 64 << 10
_stacks: list[ctypes.Array[ctypes.c_char]] = []
_SIGCHLD = 17
_SIGSET = ctypes.c_uint64 * 16
_CHILDREN = _SIGSET(1 << _SIGCHLD - 1)
_NONE = _SIGSET()
# And SIGHUP, SIGINT, SIGTERM.
_BLOCKED = _SIGSET(1 << _SIGCHLD - 1 | 1 << 0 | 1 << 1 | 1 << 14)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _raw(number: int, *args: Any) -> int:
    words = [c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return _check(int(_syscall(c_long(number), *words)))


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


class _OpenHow(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


class _MountAttr(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    )


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", c_int))


class _CapData(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


def fork_into(flags: int = 0, cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork with clone3(2): into new namespaces (`flags`) and, on cgroup v2, straight into a cgroup.

    As bare as `fork_bare`; glibc's own fork handlers do not run either: they take locks that only other threads could
    hold.

    With CLONE_PARENT the child is a sibling; then its parent is told of its end as of this process's.

    Returns:
        PID and pidfd, which stays right when the child has ended and was waited for; (0, -1) in the child.
    """
    pidfd = c_int(-1)
    exit_signal = 0 if flags & CLONE_PARENT else 17  # SIGCHLD; the kernel wants 0 for a sibling
    args = _CloneArgs(flags=flags | CLONE_PIDFD, exit_signal=exit_signal)
    args.pidfd = ctypes.addressof(pidfd)
    if cgroup_fd is not None:
        args.flags |= CLONE_INTO_CGROUP
        args.cgroup = cgroup_fd
    pid = _check(int(_syscall(c_long(_NR_CLONE3), ctypes.byref(args), c_long(ctypes.sizeof(args)))))
    return pid, pidfd.value


def clone_sleeping(flags: int, seconds: int) -> int:
    """Make a child in new namespaces (`flags`) that sleeps and ends; return its PID.

    It has this process's memory (CLONE_VM) and a stack of its own, and runs nothing but sleep(3): no page is copied.
    Its parent has to wait for it; when that is killed, it ends by itself.
    """
    stack = ctypes.create_string_buffer(_STACK)
    _stacks.append(stack)  # it is the child's as long as that lives
    top = (ctypes.addressof(stack) + _STACK) & ~15
    function = ctypes.cast(_libc.sleep, c_void_p)
    return _check(
        int(_libc.clone(function, c_void_p(top), flags | _CLONE_VM | 17, c_void_p(seconds)))
    )


def fork_bare() -> int:
    """fork(2) without what Python does around it: for a process of one thread, whose memory shall stay shared.

    os.fork() runs what modules have registered (threading, logging, random): in the child and in the parent it writes
    to pages all over the heap.
    """
    return _check(int(_libc.fork()))


def child_signals() -> int:
    """Block what is meant for a process's starters, and SIGCHLD; return a signalfd(2) that tells of the latter.

    Past Python's own table of handlers, and with nothing made anew: for a process whose memory shall stay shared.
    """
    _libc.signal(_SIGCHLD, None)  # a parent may have ignored it
    _check(_libc.sigprocmask(0, _BLOCKED, None))
    return _check(_libc.signalfd(-1, _CHILDREN, os.O_CLOEXEC | os.O_NONBLOCK))


def reset_signals() -> None:
    """Set every signal to its default and block none, for a process that executes a program next.

    Past Python, whose tables do not matter any more: it would make an enumeration's member of each former handler.
    """
    for number in range(1, 65):
        if number not in (9, 19, 32, 33):  # SIGKILL, SIGSTOP; glibc's own
            _libc.signal(number, None)
    _check(_libc.sigprocmask(2, _NONE, None))


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags))


def setns(fd: int, flags: int) -> None:
    """setns(2); `fd` is a namespace or a pidfd."""
    _check(_libc.setns(fd, flags))


def mount(source: str, target: str, fstype: str, flags: int, data: str | None) -> None:
    """mount(2)."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(fstype),
            flags,
            None if data is None else os.fsencode(data),
        )
    )


def umount(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _raw(_NR_PIVOT_ROOT, os.fsencode(new_root), os.fsencode(put_old))


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """open_tree(2): a mount as a descriptor; with OPEN_TREE_CLONE a detached copy of it."""
    return _raw(_NR_OPEN_TREE, dirfd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC)


def move_mount(from_fd: int, to_fd: int) -> None:
    """move_mount(2) from one descriptor onto another: no path is looked up."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _raw(_NR_MOVE_MOUNT, from_fd, b"", to_fd, b"", flags)


def fsopen(fstype: str) -> int:
    """fsopen(2)."""
    return _raw(_NR_FSOPEN, os.fsencode(fstype), FSOPEN_CLOEXEC)


def fsconfig(fd: int, command: int, key: str | None = None, value: str | None = None) -> None:
    """fsconfig(2)."""
    encoded_key = None if key is None else os.fsencode(key)
    encoded_value = None if value is None else os.fsencode(value)
    _raw(_NR_FSCONFIG, fd, command, encoded_key, encoded_value, 0)


def fsconfig_fd(fd: int, key: str, value: int) -> None:
    """fsconfig(2) with FSCONFIG_SET_FD."""
    _raw(_NR_FSCONFIG, fd, FSCONFIG_SET_FD, os.fsencode(key), None, value)


def fsmount(fd: int, attributes: int) -> int:
    """fsmount(2): a detached mount of a configured file system."""
    return _raw(_NR_FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes)


def mount_setattr(
    fd: int,
    path: str = "",
    *,
    flags: int = 0,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    users: int = 0,
) -> None:
    """mount_setattr(2); `users` is the descriptor of a user namespace, with MOUNT_ATTR_IDMAP."""
    attr = _MountAttr(attr_set=set_, attr_clr=clear, propagation=propagation, userns_fd=users)
    if not path:
        flags |= AT_EMPTY_PATH
    size = ctypes.sizeof(attr)
    _raw(_NR_MOUNT_SETATTR, fd, os.fsencode(path), flags, ctypes.byref(attr), size)


def openat2(dirfd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), tried again when a rename elsewhere raced a ".."; the descriptor is close-on-exec."""
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    for _ in range(_OPENAT2_RETRIES):
        try:
            return _raw(
                _NR_OPENAT2, dirfd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
            )
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """close_range(2); without `last`, from `first` on."""
    _raw(_NR_CLOSE_RANGE, first, last, 0)


def prctl(option: int, arg2: int = 0, arg3: int = 0) -> int:
    """prctl(2)."""
    return _check(int(_libc.prctl(option, arg2, arg3, 0, 0)))


def set_name(name: bytes) -> None:
    """Set the name that ps(1) and top(1) show, 15 bytes (proc(5), comm)."""
    fd = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, name)
    os.close(fd)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of this process; each argument is a set of bits."""
    header = _CapHeader(version=0x20080522, pid=0)
    data = (_CapData * 2)()
    for index in (0, 1):
        shift = 32 * index
        data[index].effective = effective >> shift & 0xFFFFFFFF
        data[index].permitted = permitted >> shift & 0xFFFFFFFF
        data[index].inheritable = inheritable >> shift & 0xFFFFFFFF
    _raw(_NR_CAPSET, ctypes.byref(header), data)


def set_fs_ids(uid: int, gid: int) -> None:
    """setfsuid(2), setfsgid(2): what files that this thread makes belong to.

    Whoever is no longer 0 there loses the effective capabilities that concern files; `capset` brings them back.

    Raises:
        OSError: EPERM; the calls themselves do not tell.
    """
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if fs_ids() != (uid, gid):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def fs_ids() -> tuple[int, int]:
    """Return what files that this thread makes belong to: user and group."""
    return int(_libc.setfsuid(-1)), int(_libc.setfsgid(-1))


def join_session_keyring() -> None:
    """keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: leave the engine's session keyring for an empty one.

    A kernel built without keys has nothing to leave.
    """
    try:
        _raw(_NR_KEYCTL, 1, None)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = os.fsencode(name)
    _check(_libc.sethostname(raw, len(raw)))


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    raw = os.fsencode(name)
    _check(_libc.setdomainname(raw, len(raw)))


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", c_void_p))


SECCOMP_SET_MODE_FILTER = 1


def seccomp_set_filter(program: bytes, flags: int) -> None:
    """seccomp(2) SECCOMP_SET_MODE_FILTER with an array of struct sock_filter (8 bytes each)."""
    buffer = ctypes.create_string_buffer(program, len(program))
    prog = _SockFprog(len=len(program) // 8, filter=ctypes.addressof(buffer))
    _raw(_NR_SECCOMP, SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(prog))


def bpf(command: int, attr: ctypes.Structure) -> int:
    """bpf(2)."""
    return _raw(_NR_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr))


def rename(old: str, new: str, flags: int) -> None:
    """renameat2(2), relative paths from the working directory."""
    _check(_libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def syncfs(fd: int) -> None:
    """Write all of a file system to its disk (syncfs(2))."""
    _check(_waiting.syncfs(fd))


def quotactl_fd(fd: int, command: int, number: int, data: bytearray) -> None:
    """quotactl_fd(2): a file system by a descriptor of it; `data` is read or written."""
    buffer = (ctypes.c_char * len(data)).from_buffer(data)
    _raw(_NR_QUOTACTL_FD, fd, command, number, ctypes.byref(buffer))


def start_writing(fd: int, offset: int, size: int) -> None:
    """Let the kernel begin to write a part of a file to its disk (sync_file_range(2)); a hint, no promise."""
    _waiting.sync_file_range(fd, offset, size, _SYNC_FILE_RANGE_WRITE)


def capget() -> tuple[int, int]:
    """capget(2) of this process: the effective and the permitted capabilities, sets of bits."""
    header = _CapHeader(version=0x20080522, pid=0)
    data = (_CapData * 2)()
    _raw(_NR_CAPGET, ctypes.byref(header), data)
    effective = data[0].effective | data[1].effective << 32
    return effective, data[0].permitted | data[1].permitted << 32


def fs_magic(fd: int) -> int:
    """Return the type of the file system of `fd` (statfs(2), f_type)."""
    buffer = (c_long * 32)()
    _check(_libc.fstatfs(c_int(fd), ctypes.byref(buffer)))
    return int(buffer[0])


def mount_id(fd: int, name: str = "") -> int:
    """Return the id, as in proc_pid_mountinfo(5), of the mount that a descriptor, or a name below it, is in (statx(2)).

    What is mounted at the name is looked at; no link is followed.
    """
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (0 if name else AT_EMPTY_PATH)
    _check(_libc.statx(fd, os.fsencode(name), flags, _STATX_MNT_ID, buffer))
    return int.from_bytes(buffer.raw[_STX_MNT_ID : _STX_MNT_ID + 8], "little")
