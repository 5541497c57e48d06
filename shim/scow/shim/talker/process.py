"""The talker: serves whoever connects to the shim's socket, and ends when nobody has for a moment.

It acts on the container's cgroup, terminal and processes itself, and has the keeper do what the keeper alone can:
be the parent of sessions, and hand on the init's output. While it is there, the listening socket is its affair.
"""

from __future__ import annotations

import _socket
import asyncio
import gc
import os
import socket
import traceback
from typing import NoReturn

from scow.kernel import syscalls
from scow.shim.keeper.process import Keeper
from scow.shim.talker.container import Container
from scow.shim.talker.execution import Executions
from scow.shim.talker.server import Server
from scow.shim.talker.service import ShimService

_LINGER_SECONDS = 2.0


def main(keeper: Keeper, channel: _socket.socket) -> NoReturn:
    """Run in the forked child; never returns.

    Args:
        keeper: What the keeper knew at the fork.
        channel: The way to it.
    """
    code = 1
    try:
        syscalls.set_name(b"scow-talker")
        gc.enable()
        asyncio.run(_serve(keeper, channel))
        code = 0
    except BaseException:  # noqa: BLE001 - the child must never return to the keeper's code
        traceback.print_exc()
    finally:
        os._exit(code)


async def _serve(keeper: Keeper, channel: _socket.socket) -> None:
    changed = asyncio.Event()
    container = Container(keeper, channel)
    executions = Executions(container, changed.set)
    executions.end_orphans()
    container.listen()
    server = Server(ShimService(container, executions).methods(), changed.set)
    loop = asyncio.get_running_loop()
    listener = socket.socket(fileno=keeper.listener)
    loop.add_reader(listener, server.accept, listener)
    server.accept(
        listener
    )  # for whom this process was forked: served also when the container has ended meanwhile
    ended = asyncio.create_task(container.wait())
    ended.add_done_callback(lambda _: changed.set())
    while not (container.exit is not None and server.connections == 0):
        changed.clear()
        try:
            await asyncio.wait_for(changed.wait(), _LINGER_SECONDS)
        except TimeoutError:
            if server.connections == 0 and executions.idle:
                break
    # Who is in the queue of the listening socket is the next talker's. No await from here on: a connection that was
    # accepted meanwhile would be lost.
    os._exit(0)
