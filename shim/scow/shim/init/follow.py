"""Following a forked child on its way to execve(2), by what it says on its control socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from scow.shim.errors import from_json
from scow.shim.init import control


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """Return the next message and the descriptor that came with it, or -1; None once the child is gone."""
    try:
        return control.receive_with_fd(sock)
    except (
        ConnectionResetError
    ):  # it ended with a message of ours unread; what it said before comes after that
        return control.receive_with_fd(sock)


async def to_exec(sock: socket.socket, warn: Callable[[list[str]], None]) -> int | None:
    """Read the child's messages until its program runs.

    Returns:
        The master of its terminal, or -1 when it has none; None when it was killed before.

    Raises:
        ScowError: Why it could not execute its program.
    """
    master, executing = -1, False
    while True:
        await readable(sock.fileno())
        message, fd = receive(sock)
        if fd >= 0:
            master = fd
        if message is None:
            return master if executing else None
        if "error" in message:
            raise from_json(message["error"])
        if "warnings" in message:
            warn(message["warnings"])
        executing = "exec" in message


def kept(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Run in the background what must come to its end even if nobody waits for it any more."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task


async def readable(fd: int) -> None:
    """Wait until a descriptor can be read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def found() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, found)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
