"""SSH agents of clients: a socket for a RUN, whose connections are relayed through the conversation."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

from scow.api.build.v1 import build_pb2 as pb
from scow.build.context.session import Session
from scow.contract.errors import Cancelled, InvalidContext

_PIECE = 1 << 16
_numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def served(
    session: Session, name: str, path: Path, owner: tuple[int, int, int]
) -> AsyncIterator[None]:
    """Serve an agent of the client at a socket for the length of the block.

    Args:
        session: The conversation.
        name: Of the agent: "default".
        path: The socket.
        owner: User, group and permissions of the socket.
    """
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_relay(session, name, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(connected, path)
    try:
        os.chown(path, owner[0], owner[1])
        path.chmod(owner[2])
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        path.unlink(missing_ok=True)


async def _relay(
    session: Session, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Relay one connection in both directions."""
    number = next(_numbers)
    key = f"agent/{number}"
    session.expect(key)
    answering = asyncio.create_task(_answers(session, key, writer))
    try:
        while data := await reader.read(_PIECE):
            agent = pb.BuildResponse.Agent(connection=number, id=name, data=data)
            await session.send(pb.BuildResponse(agent=agent))
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        session.done(key)
        closing = pb.BuildResponse.Agent(connection=number, id=name, close=True)
        writer.close()
        with contextlib.suppress(asyncio.CancelledError):
            await session.send(pb.BuildResponse(agent=closing))


async def _answers(session: Session, key: str, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(Cancelled, InvalidContext, ConnectionError):
        while True:
            answer = (await session.receive(key)).agent
            writer.write(answer.data)
            await writer.drain()
            if answer.close:
                break
    writer.close()
