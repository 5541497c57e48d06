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
from scow.contract.errors import InvalidMount, MountBusy, MountFailed
from scow.kernel import imports, syscalls
from scow.shim.errors import from_exception, from_json, from_os_error, to_json
from scow.shim.init import control, follow
from scow.shim.oci.config import Mount
from scow.shim.rootfs import mounts, throwaway
from scow.shim.talker.container import STOPPED, Container

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


async def attach(container: Container, mount: Mount) -> str:
    """Put a mount into the container; return where it is there, without links.

    Raises:
        ScowError: As `scow.shim.rootfs.mounts.attach`; ContainerNotRunning.
    """

    def work(enter: Callable[[], None]) -> str:
        options = mounts.parse_options(mount.options)
        make = throwaway.make if mount.type == throwaway.TYPE else mounts.detached
        source = make(mount, options)
        own = os.open("/proc/self/fd", _FOLDER)
        enter()
        return mounts.put(os.open("/", _FOLDER), mount, source, own)

    return await _in_child(container, work)


async def detach(container: Container, place: str, *, force: bool) -> None:
    """Take the mount at a place out of the container; nothing mounted there is not an error.

    Raises:
        MountBusy; InvalidMount for what is not to be taken away.
    """
    place = paths.shortest(place)
    kept = ("/", "/proc", *container.spec.masked_paths, *container.spec.readonly_paths)
    if place in kept or place.startswith("/proc/"):
        text = f"{place} belongs to the container's confinement"
        raise InvalidMount(text, what="mount", which=place)

    def work(enter: Callable[[], None]) -> str:
        enter()
        _unmount(place, force=force)
        return place

    await _in_child(container, work)


def _unmount(place: str, *, force: bool) -> None:
    """Unmount what is at a place of this mount namespace. No link is followed: one could lead to what is masked."""
    folder, name = posixpath.split(place)
    root = os.open("/", _FOLDER)
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
    try:
        os.fchdir(syscalls.openat2(root, folder.lstrip("/") or ".", _FOLDER, resolve=resolve))
        flags = syscalls.UMOUNT_NOFOLLOW | (syscalls.MNT_DETACH if force else 0)
        syscalls.umount(name, flags)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return
        if error.errno != errno.EBUSY:
            raise from_os_error(error, f"unmount {place}", what="mount", which=place) from error
        raise MountBusy(
            f"the mount at {place} is used by processes of the container, or has mounts below it",
            what="mount",
            which=place,
            do="end them, or detach it by force",
        ) from error


async def _in_child(container: Container, work: Callable[[Callable[[], None]], str]) -> str:
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
    return str(message["place"])


async def _reaped(child: int) -> None:
    ended = os.pidfd_open(child)
    try:
        await follow.readable(ended)
    finally:
        os.close(ended)
    os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - it has ended, nothing is waited for


def _become(
    channel: int, container: Container, work: Callable[[Callable[[], None]], str]
) -> NoReturn:
    """Run in the child; never returns."""
    try:
        imports.end()
        place = work(lambda: container.enter(syscalls.CLONE_NEWNS))
        control.send(channel, {"place": place})
    except BaseException as error:  # noqa: BLE001 - whatever it is travels to the talker
        with contextlib.suppress(OSError):
            control.send(channel, {"error": to_json(from_exception(error, "change mounts"))})
    finally:
        os._exit(0)
