"""Asking name servers what a container asks and no record of ours answers.

A question goes to the servers one after another, each again after a while, from a fresh port each time, and the first
good answer of any of them counts. The same question of several containers is asked once; so a server that asks us back
what we ask it gets no second question, and the loop ends with the time. What is waiting is bounded.

A server that was silent is tried with a question that every server can answer at once, for the names of the root. Only
when it is silent to that too it counts as down, and questions fail at once instead of after seconds, until it answers
a trial. So nobody makes a server count as down by asking for names whose own servers are slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Hashable, Sequence
from functools import partial

from scow.network.dns import message
from scow.network.dns.cache import Cache
from scow.network.dns.message import MalformedError, Query
from scow.network.dns.places import HERE, Place

# The C library asks again after 5 seconds: it is to hear of a failure before.
TOTAL_SECONDS = 4.5
_AGAIN_SECONDS = 1.2
_TRIAL_SECONDS = 1.0
_ROUNDS = 2
_MAX_QUESTIONS = 2000
# Packets that are no answer to what was asked: somebody guesses.
_MAX_WRONG = 50
_PORT = 53
_Where = tuple[Place, str]
_OTHER_SERVER = (message.SERVFAIL, message.REFUSED, message.NOTIMP)
# The name servers of the root.
_TRIAL = message.parse(bytes.fromhex("0000010000010000000000000000020001"))


class UnansweredError(Exception):
    """No server answered."""


class Upstream:
    """The servers' side, for all containers.

    Args:
        port: Of every server.
        total: Seconds after which a question fails.
        again: Seconds after which the next server is asked.
    """

    def __init__(
        self, port: int = _PORT, total: float = TOTAL_SECONDS, again: float = _AGAIN_SECONDS
    ) -> None:
        self._port = port
        self._total = total
        self._again = again
        self._cache = Cache()
        self._asked: dict[Hashable, asyncio.Task[bytes]] = {}
        # By place and address.
        self._down: set[_Where] = set()
        self._trials: dict[_Where, asyncio.Task[None]] = {}

    def kept(self, servers: Sequence[str], query: Query, place: Place = HERE) -> bytes | None:
        """Return an answer that is known already."""
        return self._cache.get((place, tuple(servers), query.key))

    async def ask(
        self, servers: Sequence[str], query: Query, stream: bool = False, place: Place = HERE
    ) -> bytes:
        """Return an answer; its id and the writing of its question are another's.

        Args:
            servers: Addresses.
            query: The question.
            stream: Whether an answer that is cut off is fetched whole.
            place: From where they are asked.

        Raises:
            UnansweredError: There is none within the time, or too much is asked at once.
        """
        key = (place, tuple(servers), query.key, stream)
        task = self._asked.get(key)
        if task is None:
            if len(self._asked) >= _MAX_QUESTIONS:
                raise UnansweredError("too many questions at once")
            task = asyncio.create_task(self._find(place, tuple(servers), query, stream))
            self._asked[key] = task
            task.add_done_callback(partial(self._forget, key))
        # Others may wait for it too: it goes on when one of them does not any more.
        return await asyncio.shield(task)

    def _forget(self, key: Hashable, task: asyncio.Task[bytes]) -> None:
        del self._asked[key]
        if not task.cancelled():
            task.exception()

    def forget(self, place: Place) -> None:
        """Forget which servers were down for a place that is gone."""
        self._down = {where for where in self._down if where[0] != place}

    async def _find(
        self, place: Place, servers: tuple[str, ...], query: Query, stream: bool
    ) -> bytes:
        usable = [server for server in servers if (place, server) not in self._down]
        for server in set(servers).difference(usable):
            self._try(place, server)
        if not usable:
            raise UnansweredError("no name server answers")
        try:
            async with asyncio.timeout(self._total):
                server, answer = await self._ask_some(place, usable, query)
                if stream and message.is_truncated(answer):
                    answer = await self._ask_by_stream(place, server, query)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            raise UnansweredError("no name server answers") from error
        self._cache.put((place, servers, query.key), answer)
        return answer

    async def _ask_some(
        self, place: Place, servers: Sequence[str], query: Query
    ) -> tuple[str, bytes]:
        exchange = _Exchange(query, self._port, place)
        replied: set[str] = set()
        poor: tuple[str, bytes] | None = None
        attempts = [*servers] * _ROUNDS
        try:
            while True:
                if attempts:
                    await exchange.send(attempts.pop(0))
                elif not exchange.is_open:
                    break
                try:
                    async with asyncio.timeout(self._again if attempts else None):
                        server, data = await exchange.results.get()
                except TimeoutError:
                    if not attempts:
                        raise
                    continue
                if data is None:
                    attempts = [one for one in attempts if one != server]
                elif message.code_of(data) in _OTHER_SERVER:
                    poor, attempts = (server, data), [one for one in attempts if one != server]
                    replied.add(server)
                else:
                    replied.add(server)
                    return server, data
        finally:
            exchange.close()
            for server in exchange.asked[: -1 if replied else None]:
                if server not in replied:
                    self._try(place, server)
        if poor is None:
            raise UnansweredError("no name server answers")
        return poor

    def _try(self, place: Place, server: str) -> None:
        """Find out whether a server that was silent is down, or is not any more."""
        where = (place, server)
        if where not in self._trials:
            task = self._trials[where] = asyncio.create_task(self._try_once(place, server))
            task.add_done_callback(lambda _: self._trials.pop(where))

    async def _try_once(self, place: Place, server: str) -> None:
        trial = _Exchange(_TRIAL, self._port, place)
        try:
            async with asyncio.timeout(_TRIAL_SECONDS):
                await trial.send(server)
                _, data = await trial.results.get()
        except TimeoutError:
            data = None
        finally:
            trial.close()
        if data is not None:
            self._down.discard((place, server))
        elif len(self._down) < _MAX_QUESTIONS and not place.is_gone():
            self._down.add((place, server))

    async def _ask_by_stream(self, place: Place, server: str, query: Query) -> bytes:
        identity = secrets.randbelow(1 << 16)
        packet = message.forwarded(query, identity)
        one = await place.open(_family(server), socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(one, (server, self._port))
            reader, writer = await asyncio.open_connection(sock=one)
        except BaseException:
            one.close()
            raise
        try:
            writer.write(len(packet).to_bytes(2, "big") + packet)
            size = int.from_bytes(await reader.readexactly(2), "big")
            data = await reader.readexactly(size)
        finally:
            writer.close()
        if not message.answers(data, query, identity):
            raise UnansweredError("the name server answered another question")
        return _checked(data)

    async def close(self) -> None:
        """Ask nothing more."""
        # Questions that end may begin a trial.
        for tasks in (self._asked, self._trials):
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


class _Exchange:
    """One question that is sent to servers by UDP, and what comes back.

    Attributes:
        results: Server and answer, or nothing where the server cannot be reached.
        asked: The servers, in order.
    """

    def __init__(self, query: Query, port: int, place: Place) -> None:
        self._query = query
        self._port = port
        self._place = place
        self._identity = secrets.randbelow(1 << 16)
        self._packet = message.forwarded(query, self._identity)
        self._sockets: list[socket.socket] = []
        self._wrong = 0
        self._loop = asyncio.get_running_loop()
        self.results: asyncio.Queue[tuple[str, bytes | None]] = asyncio.Queue()
        self.asked: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return bool(self._sockets)

    async def send(self, server: str) -> None:
        """Ask a server, from a port that nobody can guess."""
        if server not in self.asked:
            self.asked.append(server)
        try:
            one = await self._place.open(_family(server), socket.SOCK_DGRAM)
        except OSError:
            self.results.put_nowait((server, None))
            return
        self._sockets.append(one)
        self._loop.add_reader(one, self._read, one, server)
        try:
            one.connect((server, self._port))
            one.send(self._packet)
        except OSError:
            self._end(one)
            self.results.put_nowait((server, None))

    def _read(self, one: socket.socket, server: str) -> None:
        try:
            data = one.recv(message.MAX_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._end(one)
            self.results.put_nowait((server, None))
            return
        if message.answers(data, self._query, self._identity):
            with contextlib.suppress(MalformedError):
                self.results.put_nowait((server, _checked(data)))
                self._end(one)
                return
        self._wrong += 1
        if self._wrong > _MAX_WRONG:
            self._end(one)
            self.results.put_nowait((server, None))

    def _end(self, one: socket.socket) -> None:
        self._loop.remove_reader(one)
        one.close()
        self._sockets.remove(one)

    def close(self) -> None:
        """Wait for nothing more."""
        for one in list(self._sockets):
            self._end(one)


def _family(server: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server else socket.AF_INET


def _checked(data: bytes) -> bytes:
    """Return an answer whose records can be told apart: a container's library is not to meet any other.

    Raises:
        MalformedError: They cannot.
    """
    message.lifetime(data)
    return data
