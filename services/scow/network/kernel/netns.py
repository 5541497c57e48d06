"""Network namespaces: opening them, and sockets inside of them (setns(2), namespaces(7))."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from scow.contract.errors import LinkFailed
from scow.network.kernel import sysctls
from scow.network.kernel.netlink import Netlink, refusal

_CLONE_NEWNET = 0x40000000
_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a network namespace for the block; the descriptor keeps it alive.

    Raises:
        LinkFailed: It is gone, or it is the one of the engine itself.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _failure(path, error.strerror or str(error)) from error
    try:
        if identity(descriptor) == _own():
            raise _failure(path, "it is the host's own")
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_as(path: str, wanted: str) -> Iterator[int]:
    """Open a network namespace for the block, if it is still the one of an identity.

    Raises:
        LinkFailed: It is gone, another one, or the one of the engine itself.
    """
    with opened(path) as descriptor:
        if identity(descriptor) != wanted:
            raise refusal(f"network namespace {path}", errno.ESTALE)
        yield descriptor


def identity(descriptor: int) -> str:
    """Return what tells one living namespace from every other: device and inode."""
    status = os.stat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


def current_identity(path: str) -> str:
    """Return the identity of the namespace at a path, empty when it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}"


def _own() -> str:
    return current_identity("/proc/thread-self/ns/net")


def inside(descriptor: int, call: Callable[[], _T]) -> _T:
    """Return what a function returns in a namespace; sockets that it opens stay in there.

    A thread of its own enters the namespace and ends there, so that no thread has to find its way back.

    Args:
        descriptor: Open on the namespace.
        call: The function.

    Raises:
        LinkFailed: The namespace cannot be entered, or the function met an error of the system.
        ScowError: The function's.
    """
    result: Future[_T] = Future()
    _start(descriptor, call, result)
    return result.result()


async def inside_soon(descriptor: int, call: Callable[[], _T]) -> _T:
    """Return what `inside` returns, while the event loop goes on."""
    result: Future[_T] = Future()
    _start(descriptor, call, result)
    return await asyncio.wrap_future(result)


def _start(descriptor: int, call: Callable[[], _T], result: Future[_T]) -> None:
    # Who waits may leave, and close the descriptor, before the thread has used it.
    own = os.dup(descriptor)

    def enter() -> None:
        try:
            if _libc.setns(own, _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            found = call()
        except OSError as error:
            which = os.readlink(f"/proc/self/fd/{own}")
            _fail(result, _failure(which, error.strerror or str(error)))
        except BaseException as error:  # noqa: BLE001  it is raised where somebody waits
            _fail(result, error)
        else:
            if result.set_running_or_notify_cancel():
                result.set_result(found)
        finally:
            os.close(own)

    try:
        threading.Thread(target=enter, name="setns").start()
    except RuntimeError as error:  # no thread can be had
        which = os.readlink(f"/proc/self/fd/{own}")
        os.close(own)
        raise _failure(which, str(error)) from error


def _fail(result: Future[_T], error: BaseException) -> None:
    if result.set_running_or_notify_cancel():
        result.set_exception(error)


def netlink_inside(
    descriptor: int, interface: str, settings: Mapping[str, str] | None = None
) -> tuple[Netlink, int]:
    """Return a netlink socket opened in a namespace, and the index of a link in there.

    Args:
        descriptor: Open on the namespace.
        interface: The link.
        settings: What the link is given first; see `sysctls.set_link`.

    Raises:
        LinkFailed: The namespace cannot be entered, or has no such link.
        KernelUnsupported: A setting cannot be made.
    """

    def open_netlink() -> tuple[Netlink, int]:
        index = socket.if_nametoindex(interface)
        sysctls.set_link(interface, settings or {})
        return Netlink(), index

    return inside(descriptor, open_netlink)


def _failure(path: str, reason: str) -> LinkFailed:
    return LinkFailed(
        f"the network namespace {path} cannot be entered: {reason}",
        what="network namespace",
        which=path,
        do="see that its process runs",
    )
