"""The name server of containers: what comes in on their sockets, and what is answered.

Each container has sockets of its own, so who asks is known. In one turn of the event loop a few questions of each are
answered: a container that floods the server is slow for itself alone. What is forwarded is bounded for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from scow.network.dns import message, places
from scow.network.dns.listener import Listener
from scow.network.dns.message import MalformedError, Query
from scow.network.dns.packets import Packets
from scow.network.dns.places import HERE, Place
from scow.network.dns.records import Records
from scow.network.dns.upstream import UnansweredError, Upstream

# Of questions that are answered in one turn.
_BATCHES = 4
_MAX_WAITING = 50
_MAX_REMEMBERED = 256
_MAX_CONNECTIONS = 32
_IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Scope:
    """What a container is answered from.

    Attributes:
        networks: Ids of its networks with names, the first one first.
        servers: Name servers of its own; empty means those of the host.
        inside: Whether these are asked from its own namespace, which may reach others than the host does.
        forwards: Whether what is not known here is asked elsewhere.
        qualified: Whether names without a dot are known here or nowhere, since it said what to complete them with.
        links: Names of its own for others' names.
        policy: What it may ask for, and what may follow from it.
        place: From where name servers are asked; the server's to say.
    """

    networks: tuple[str, ...]
    servers: tuple[str, ...] = ()
    inside: bool = False
    forwards: bool = True
    qualified: bool = False
    links: Mapping[bytes, bytes] = field(default_factory=dict)
    policy: NamePolicy | None = None
    place: Place = HERE


class NamePolicy(Protocol):
    """What a container's policy has to do with names."""

    def allows(self, name: bytes) -> bool:
        """Tell whether a name in lower case may be asked for elsewhere."""

    async def learn(self, name: bytes, answer: bytes) -> None:
        """Take note of what a name means, before the answer is given."""


class Server:
    """The server.

    Args:
        records: What is known here.
        upstream: Who knows the rest.
        host_servers: Returns the host's name servers as they are now.

    Attributes:
        packets: Buffers for what is received and sent.
    """

    def __init__(
        self, records: Records, upstream: Upstream, host_servers: Callable[[], Sequence[str]]
    ) -> None:
        self._records = records
        self._upstream = upstream
        self._host_servers = host_servers
        self._clients: dict[str, _Client] = {}
        self.packets = Packets()

    async def open(self, owner: str, listener: Listener, scope: Scope) -> None:
        """Serve a container's sockets, which are the server's from now on."""
        await self.close(owner)
        client = self._clients[owner] = _Client(self, listener, scope)
        await client.start()

    def set_scope(self, owner: str, scope: Scope) -> None:
        """Change what a container is answered from."""
        if owner in self._clients:
            self._clients[owner].scope = scope

    async def close(self, owner: str) -> None:
        """Serve a container no more, and close its sockets: they would keep its namespace."""
        client = self._clients.pop(owner, None)
        if client is not None:
            client.close()
            self._upstream.forget(client.place)

    async def close_all(self) -> None:
        """Serve nobody."""
        for owner in list(self._clients):
            await self.close(owner)
        await self._upstream.close()

    @property
    def generation(self) -> int:
        """Another number after each change of what is known here."""
        return self._records.generation

    def answer(self, scope: Scope, data: bytes, limit: int) -> bytes | Query | None:
        """Return the answer to a message, or its question if somebody else has to answer it.

        Args:
            scope: Of who asks.
            data: The message.
            limit: Of an answer's size; 0 means what the question allows.
        """
        try:
            query = message.parse(data)
            if query.flags & 0x8000:
                return None
        except MalformedError as error:
            return message.rejection(data, error)
        if query.group != message.IN:
            return message.refusal(query, message.REFUSED)
        if scope.policy is not None:
            return query
        return self._known(scope, query, limit)

    def _known(self, scope: Scope, query: Query, limit: int) -> bytes | Query:
        """Return the answer to a question from what is known, or the question."""
        name = scope.links.get(query.name, query.name)
        node = self._records.find(scope.networks, name)
        if node is not None:
            return message.answer(query, node.records(query.kind), limit or query.size)
        if scope.policy is not None and not scope.policy.allows(query.name):
            return message.refusal(query, message.NXDOMAIN)
        if scope.qualified and message.is_single(query.name):
            return message.refusal(query, message.NXDOMAIN)
        if not scope.forwards:
            return message.refusal(query, message.SERVFAIL)
        kept = self._upstream.kept(self._servers(scope), query, scope.place)
        return query if kept is None else message.returned(kept, query, limit or query.size)

    async def forward(self, scope: Scope, query: Query, limit: int) -> bytes:
        """Return somebody else's answer, or that there is none; where a policy has a say, also our own."""
        if scope.policy is None:
            return await self._ask(scope, query, limit)
        known = self._known(scope, query, limit)
        answer = await self._ask(scope, query, limit) if isinstance(known, Query) else known
        with contextlib.suppress(MalformedError):
            await scope.policy.learn(query.name, answer)
        return answer

    async def _ask(self, scope: Scope, query: Query, limit: int) -> bytes:
        stream = bool(limit)
        try:
            servers = self._servers(scope)
            data = await self._upstream.ask(servers, query, stream, scope.place)
        except UnansweredError:
            return message.refusal(query, message.SERVFAIL)
        return message.returned(data, query, limit or query.size)

    def _servers(self, scope: Scope) -> Sequence[str]:
        return scope.servers or self._host_servers()


class _Client:
    """One container's sockets."""

    def __init__(self, server: Server, listener: Listener, scope: Scope) -> None:
        self._server = server
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._waiting = 0
        self._streams: asyncio.Server | None = None
        self.place = places.beside(listener.packets, secrets.token_hex(8))
        self._scope = self._placed(scope)
        # Answers by questions, both without their ids: programs ask the same again and again.
        self._remembered: dict[bytes, bytes] = {}
        self._generation = -1

    @property
    def scope(self) -> Scope:
        """What the container is answered from."""
        return self._scope

    @scope.setter
    def scope(self, scope: Scope) -> None:
        self._scope = self._placed(scope)
        self._remembered.clear()

    def _placed(self, scope: Scope) -> Scope:
        return replace(scope, place=self.place) if scope.inside else scope

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener.packets, self._read)
        self._streams = await asyncio.start_server(self._serve, sock=self._listener.streams)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener.packets)
        self._listener.packets.close()
        if self._streams is not None:
            self._streams.close()
        self._listener.streams.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def _read(self) -> None:
        packets, remembered = self._server.packets, self._remembered
        if self._generation != self._server.generation:
            self._generation = self._server.generation
            remembered.clear()
        descriptor = self._listener.packets.fileno()
        for _ in range(_BATCHES):
            questions = packets.receive(descriptor)
            for number, data in enumerate(questions):
                if (known := remembered.get(data[2:])) is not None:
                    packets.answer(number, data[:2] + known)
                else:
                    self._answer(number, data)
            packets.send(descriptor)
            if not questions:
                return

    def _answer(self, number: int, data: bytes) -> None:
        """Answer a question of the last batch, or have it answered."""
        packets = self._server.packets
        answer = self._server.answer(self._scope, data, 0)
        if isinstance(answer, Query):
            self._forward(answer, packets.peer(number))
        elif answer is not None:
            packets.answer(number, answer)
            self._remember(data[2:], answer)

    def _remember(self, question: bytes, answer: bytes) -> None:
        if message.is_fixed(answer):
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[question] = answer[2:]

    def _forward(self, query: Query, peer: tuple[str, int]) -> None:
        if self._waiting >= _MAX_WAITING:
            _send(self._listener.packets, message.refusal(query, message.SERVFAIL), peer)
            return
        task = asyncio.create_task(self._forward_one(query, peer))
        self._waiting += 1
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._waiting -= 1
        self._tasks.discard(task)

    async def _forward_one(self, query: Query, peer: tuple[str, int]) -> None:
        answer = await self._server.forward(self.scope, query, 0)
        _send(self._listener.packets, answer, peer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes by TCP, one question after another."""
        if len(self._writers) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                while await self._serve_one(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(_IDLE_SECONDS):
            size = int.from_bytes(await reader.readexactly(2), "big")
            data = await reader.readexactly(size)
        answer = self._server.answer(self.scope, data, message.MAX_SIZE)
        if isinstance(answer, Query):
            answer = await self._server.forward(self.scope, answer, message.MAX_SIZE)
        if answer is None:
            return False
        writer.write(len(answer).to_bytes(2, "big") + answer)
        async with asyncio.timeout(_IDLE_SECONDS):
            await writer.drain()
        return True


def _send(packets: socket.socket, answer: bytes, peer: tuple[str, int]) -> None:
    # Nobody waits for it any more, or the container is gone.
    with contextlib.suppress(OSError):
        packets.sendto(answer, peer)
