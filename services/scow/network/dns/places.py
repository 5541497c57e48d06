"""From where name servers are asked: from the host, or from a container, which may reach others than the host does."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from scow.contract.errors import LinkFailed
from scow.network.kernel import netns

_SIOCGSKNS = 0x894C  # of linux/sockios.h: the network namespace of a socket, as a descriptor


@dataclass(frozen=True)
class Place:
    """A network namespace.

    Attributes:
        key: Tells it from others.
        open: Opens a socket in it; raises OSError when it is gone.
        is_gone: Tells whether nobody asks from it any more.
    """

    key: str
    open: Callable[[socket.AddressFamily, socket.SocketKind], Awaitable[socket.socket]] = field(
        compare=False
    )
    is_gone: Callable[[], bool] = field(default=lambda: False, compare=False)


def _made(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    return socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


async def _open_here(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    return _made(family, kind)


HERE = Place("", _open_here)


def beside(one: socket.socket, key: str) -> Place:
    """Return the place of a socket; nothing but that socket keeps its namespace."""

    def is_gone() -> bool:
        return one.fileno() < 0

    async def open_there(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        if is_gone():
            raise OSError(errno.ESTALE, "the container has ended")
        descriptor = fcntl.ioctl(one, _SIOCGSKNS)
        try:
            return await netns.inside_soon(descriptor, partial(_made, family, kind))
        except LinkFailed as error:
            raise OSError(errno.ESTALE, error.message) from error
        finally:
            os.close(descriptor)

    return Place(key, open_there, is_gone)
