"""The conversation with the client of a build: what it is asked for, and what it answers.

Each thing that is asked for has a key: "context/NAME", "archive/NAME", "secret/ID". Answers wait in a short queue for
each key, so that a client which sends faster than its files are stored is slowed down.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from weakref import WeakValueDictionary

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.contract.errors import Cancelled, InvalidArgument, InvalidContext

_AHEAD = 8
_KEYS: dict[str, Callable[[pb.BuildRequest], str]] = {
    "listing": lambda request: f"context/{request.listing.context}",
    "content": lambda request: f"context/{request.content.context}",
    "archive": lambda request: f"archive/{request.archive.context}",
    "secret": lambda request: f"secret/{request.secret.id}",
    "credentials": lambda request: f"credentials/{request.credentials.registry}",
    "cache_file": lambda request: f"cache/{request.cache_file.cache}/{request.cache_file.path}",
    "failure": lambda request: request.failure.which,
    "agent": lambda request: f"agent/{request.agent.connection}",
}


class Session:
    """The conversation.

    Args:
        requests: What the client sends, after its first message.
        agents: SSH agents that it has, by id.
    """

    def __init__(
        self, requests: AsyncIterator[pb.BuildRequest], agents: Collection[str] = ()
    ) -> None:
        self._requests = requests
        self.agents = frozenset(agents)
        self._outgoing: asyncio.Queue[pb.BuildResponse] = asyncio.Queue(_AHEAD)
        self._waiting: dict[str, asyncio.Queue[pb.BuildRequest]] = {}
        # Answers say what was asked and not by whom: one asks at a time.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._ended = asyncio.Event()

    async def read(self) -> None:
        """Hand out what the client sends, until it says no more."""
        try:
            async for request in self._requests:
                kind = request.WhichOneof("message") or ""
                key = _KEYS[kind](request) if kind in _KEYS else ""
                queue = self._waiting.get(key)
                if queue is None and (kind == "agent" or key.startswith("cache/")):
                    continue  # of a connection that has ended meanwhile, or the rest of a file that is too long
                if queue is None:
                    raise InvalidArgument(
                        f"the client sent {kind} that it was not asked for",
                        what="message",
                        which=key,
                        do="answer what was asked for",
                    )
                await queue.put(request)
        finally:
            self._ended.set()

    async def send(self, response: pb.BuildResponse) -> None:
        """Send something to the client."""
        await self._outgoing.put(response)

    async def outgoing(self) -> pb.BuildResponse:
        """Return the next thing to be sent."""
        return await self._outgoing.get()

    def rest(self) -> list[pb.BuildResponse]:
        """Return what still waits to be sent."""
        found = []
        while not self._outgoing.empty():
            found.append(self._outgoing.get_nowait())
        return found

    def expect(self, key: str) -> None:
        """Get ready for answers with a key."""
        self._waiting.setdefault(key, asyncio.Queue(_AHEAD))

    def done(self, key: str) -> None:
        """Take no more answers with a key; who hands them out need not wait for room."""
        queue = self._waiting.pop(key, None)
        while queue is not None and not queue.empty():
            queue.get_nowait()

    @contextlib.asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Take answers with a key for the length of the block; whoever asks for the same meanwhile waits."""
        lock = self._turns.setdefault(key, asyncio.Lock())
        async with lock:
            self.expect(key)
            try:
                yield
            finally:
                self.done(key)

    async def ask(self, key: str, question: pb.BuildResponse) -> pb.BuildRequest:
        """Send a question, and return the answer, which has a key; see `receive`."""
        async with self.turn(key):
            await self.send(question)
            return await self.receive(key)

    async def credentials(self, registry: str) -> Auth | None:
        """Return what the client has for a registry."""
        want = pb.BuildResponse.WantCredentials(registry=registry)
        question = pb.BuildResponse(want_credentials=want)
        answer = (await self.ask(f"credentials/{registry}", question)).credentials
        return answer.auth if answer.HasField("auth") else None

    async def secret(self, name: str) -> bytes | None:
        """Return a secret that the client has; None where it has none."""
        question = pb.BuildResponse(want_secret=pb.BuildResponse.WantSecret(id=name))
        answer = (await self.ask(f"secret/{name}", question)).secret
        return None if answer.missing else answer.value

    async def receive(self, key: str) -> pb.BuildRequest:
        """Return the next answer with a key.

        Raises:
            InvalidContext: The client cannot give it.
            Cancelled: The client has gone away.
        """
        queue = self._waiting[key]
        getting = asyncio.ensure_future(queue.get())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait([getting, ending], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                raise Cancelled("the client has gone away", what="build", do="build again")
            request = getting.result()
        finally:
            getting.cancel()
            ending.cancel()
        if request.HasField("failure"):
            raise InvalidContext(
                request.failure.message,
                what=key.partition("/")[0],
                which=key.partition("/")[2],
                do="see to it that the client can read it, and that nothing changes it meanwhile",
            )
        return request
