"""Mounts of another container's mount namespace, for a container that shares something with it.

A child enters that namespace, clones the mount, attached nowhere, and hands its descriptor over: so the mount can be
put into a namespace that does not know it, and lives for as long as anybody has it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Sequence
from typing import NoReturn

from scow.kernel import imports, mountinfo, syscalls
from scow.shim.errors import from_exception, from_json, to_json

_MESSAGE = 1 << 14
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


def clone(namespace: str, path: str, devices: Sequence[str] = ()) -> int:
    """Return a clone of the mount at a directory of another mount namespace.

    Args:
        namespace: The namespace's file, /proc/PID/ns/mnt.
        path: An absolute path in it. It belongs to a container: no link is followed, which could lead to what that
            container does not have, by its /proc.
        devices: File systems ("8:1"): one of these must be there. Then links are followed inside of the container.

    Raises:
        ScowError: It is not there, or cannot be cloned.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            child = os.fork()
            if child == 0:
                _send(theirs, namespace, path, devices)
        raw, descriptors, _, _ = socket.recv_fds(ours, _MESSAGE, 1)
    os.waitpid(child, 0)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
        return descriptor
    if not raw:
        raise OSError(errno.ECHILD, "the process that looked for it was killed")
    raise from_json(json.loads(raw))


def _send(connection: socket.socket, namespace: str, path: str, devices: Sequence[str]) -> NoReturn:
    """Run in the child; never returns."""
    try:
        imports.end()
        found = _enter(namespace, path, devices)
        socket.send_fds(connection, [b"{}"], [found])
    except BaseException as error:  # noqa: BLE001 - whatever it is travels to the parent
        typed = from_exception(error, f"mount {path} of the other container")
        connection.send(json.dumps(to_json(typed)).encode())
    finally:
        os._exit(0)


def _enter(namespace: str, path: str, devices: Sequence[str]) -> int:
    entered = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    own = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.setns(entered, syscalls.CLONE_NEWNS)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    resolve = syscalls.RESOLVE_NO_MAGICLINKS
    if devices:
        resolve |= syscalls.RESOLVE_IN_ROOT
    else:
        resolve |= syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    folder = syscalls.openat2(root, path.lstrip("/"), _FOLDER, resolve=resolve)
    if devices and _device(folder, own) not in devices:
        raise OSError(errno.ENODEV, "the other container has something else there")
    return syscalls.open_tree(folder, "", syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH)


def _device(folder: int, own: int) -> str:
    """Return the device of the file system that a folder is in, as this mount namespace has it ("8:1").

    It is not asked of the folder: on btrfs that has a device of its subvolume's.

    Args:
        folder: Its descriptor.
        own: Descriptor of this process's folder in the host's /proc.
    """
    found = syscalls.mount_id(folder)
    listed = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own)
    for entry in mountinfo.read_from(listed):
        if entry.mount_id == found:
            return entry.device
    return ""
