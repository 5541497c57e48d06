"""Mounts of a running container: attached and detached.

A child does it. It makes the mount, attached nowhere, in the host's mount namespace, where its source is; then it joins
the container's and puts it in its place, by the same rules as at the start. So what is mounted was looked up once, and
no path of the container is followed in the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import posixpath
from collections.abc import Callable
from typing import NoReturn

from scow.contract import paths
from scow.contract.errors import MountBusy, MountFailed
from scow.kernel import imports, mountinfo, syscalls
from scow.shim.errors import from_exception, from_json, from_os_error, to_json
from scow.shim.init import control, follow, user_namespace
from scow.shim.oci.config import Mount
from scow.shim.rootfs import idmap, mount_ids, mounts, throwaway
from scow.shim.talker.container import STOPPED, Container

_TRIES = 16  # to find a mount whose folders are renamed meanwhile
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


async def attach(container: Container, mount: Mount) -> None:
    """Put a mount into the container. Mounts of a container are changed one after the other.

    In a container with a user namespace, files have the owners that they have on the host.

    Raises:
        ScowError: As `scow.shim.rootfs.mounts.attach` and `scow.shim.rootfs.idmap.unmapped`; ContainerNotRunning.
    """

    def work(enter: Callable[[], None]) -> None:
        user_namespace.act_as_root(container.spec)
        entry = idmap.mapped(mount, container.spec, container.users())
        options = mounts.parse_options(entry.options)
        if mount.type == throwaway.TYPE:
            source = throwaway.make(entry, options)
        else:
            source = mounts.detached(entry, options)
            mounts.map_ids(source, entry)
        if mounts.UNMAPPED:
            raise idmap.unmapped(mount)
        # Before it can be seen: whoever is killed in between leaves a record of what is not there.
        made = syscalls.mount_id(source)
        mount_ids.add(container.request.state_dir, {mount.destination: made})
        own = os.open("/proc/self/fd", _FOLDER)
        enter()
        mounts.put(os.open("/", _FOLDER), mount, source, own)

    await _in_child(container, work)


async def detach(container: Container, destination: str, *, force: bool) -> None:
    """Take a mount out of the container, wherever it is there; one that is not there any more is not an error.

    Raises:
        MountBusy: Processes use it, or something is mounted over it.
    """
    known = mount_ids.read(container.request.state_dir).get(paths.shortest(destination))
    if known is None:
        return

    def work(enter: Callable[[], None]) -> None:
        own = os.open("/proc/self", _FOLDER)
        enter()
        for _ in range(_TRIES):
            path = _find(own, known)
            if path is None or _unmount(path, known, force=force):
                return
        raise _busy(destination)

    await _in_child(container, work)


def _find(own: int, mount_id: int) -> str | None:
    """Return where a mount is in this process's mount namespace, of whose /proc/self `own` is a descriptor."""
    table = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own)
    found = (each.mountpoint for each in mountinfo.read_from(table) if each.mount_id == mount_id)
    return next(found, None)


def _unmount(path: str, mount_id: int, *, force: bool) -> bool:
    """Unmount what is at a path, unless it is another mount by now. No link is followed."""
    folder, name = posixpath.split(path)
    root = os.open("/", _FOLDER)
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
    try:
        parent = syscalls.openat2(root, folder.lstrip("/") or ".", _FOLDER, resolve=resolve)
        if syscalls.mount_id(parent, name) != mount_id:
            return False
        os.fchdir(parent)
        # The kernel keeps a mount point from being renamed, so it is still this one.
        syscalls.umount(name, syscalls.UMOUNT_NOFOLLOW | (syscalls.MNT_DETACH if force else 0))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EINVAL):
            return False
        if error.errno != errno.EBUSY:
            raise from_os_error(error, f"unmount {path}", what="mount", which=path) from error
        raise _busy(path) from error
    return True


def _busy(path: str) -> MountBusy:
    return MountBusy(
        f"the mount at {path} is used by processes of the container, or has mounts over or below it",
        what="mount",
        which=path,
        do="end them, or detach it by force",
    )


async def _in_child(container: Container, work: Callable[[Callable[[], None]], None]) -> None:
    if container.status == STOPPED:
        raise container.not_running()
    ours, theirs = control.pair()
    with ours:
        with theirs:
            child = os.fork()
            if child == 0:
                _become(theirs.fileno(), container, work)
        try:
            await follow.readable(ours.fileno())
        except BaseException:
            os.kill(child, 9)
            raise
        finally:
            # Nobody else reaps it: also when this call is cancelled, or is cancelled here.
            await asyncio.shield(follow.kept(_reaped(child)))
        message, _ = follow.receive(ours)
    if message is None:
        text = "the process that mounts was killed"
        raise MountFailed(text, what="mount")
    if "error" in message:
        raise from_json(message["error"])


async def _reaped(child: int) -> None:
    ended = os.pidfd_open(child)
    try:
        await follow.readable(ended)
    finally:
        os.close(ended)
    os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it has ended, nothing is waited for


def _become(
    channel: int, container: Container, work: Callable[[Callable[[], None]], None]
) -> NoReturn:
    """Run in the child; never returns."""
    try:
        imports.end()
        work(lambda: container.enter(syscalls.CLONE_NEWNS))
        control.send(channel, {"done": True})
    except BaseException as error:  # noqa: BLE001 - whatever it is travels to the talker
        with contextlib.suppress(OSError):
            control.send(channel, {"error": to_json(from_exception(error, "change mounts"))})
    finally:
        os._exit(0)
