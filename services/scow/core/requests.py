"""Idempotent mutations: the same `request_id` again returns the first result, also after a restart.

`once` wraps a mutation. The response is stored with a digest of the request. To leave no gap between the change and
the stored response, the domain calls `remember(tx, result)` in the transaction of the change itself;
without that call, `once` stores the response right after. The domain tells a result, of which the wire shell makes the
response (`respond`).
A mutation that fails is not stored: a retry tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from google.protobuf.message import Message

from scow.contract.errors import RequestIdReused
from scow.core.store import Store
from scow.core.times import now_ns

KEEP_NS = 24 * 3600 * 1_000_000_000


class Mutation(Protocol):
    """A request message with a request id."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802, D102


Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")


@dataclass
class _Pending:
    request_id: str
    method: str
    digest: bytes
    respond: Callable[[Any], Message]
    stored: bytes | None = None


_current: ContextVar[_Pending | None] = ContextVar("current_request", default=None)


def current_request_id() -> str:
    """Return the request id of the mutation under way, or an empty text."""
    pending = _current.get()
    return "" if pending is None else pending.request_id


def remember(tx: sqlite3.Connection, result: object = None) -> None:
    """Store the result of the mutation under way, in the transaction of its change.

    Does nothing when the caller gave no request id.

    Args:
        tx: The transaction.
        result: What the mutation will return; None when its response is empty.
    """
    pending = _current.get()
    if pending is None:
        return
    response = pending.respond(result).SerializeToString()
    tx.execute(
        "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?)",
        (pending.request_id, pending.method, pending.digest, response, now_ns()),
    )
    pending.stored = response


def _as_it_is(reply: type[Reply], result: Any) -> Reply:
    return reply() if result is None else cast("Reply", result)


class Requests:
    """The requests that a service has answered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, asyncio.Future[None]] = {}

    async def once(
        self,
        method: str,
        request: Mutation,
        reply: type[Reply],
        call: Callable[[], Awaitable[Result]],
        respond: Callable[[Result], Reply] | None = None,
    ) -> Reply:
        """Return the stored response of this request id, or call and store.

        Args:
            method: Name of the method in the contract.
            request: Its request.
            reply: The class of its response.
            call: Makes the change and returns its result.
            respond: Makes the response of a result; None where the result is the response, or None.

        Raises:
            RequestIdReused: The id came with another method or another request before.
        """
        respond = respond or partial(_as_it_is, reply)
        if not request.request_id:
            return respond(await call())
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        pending = _Pending(request.request_id, method, digest, respond)
        while (running := self._running.get(pending.request_id)) is not None:
            await asyncio.wait([running])
        known = self._known(pending)
        if known is not None:
            return reply.FromString(known)
        with self._claimed(pending):
            result = await call()
            response = respond(result)
            # A mutation made of several has remembered the result of one of them only.
            if pending.stored != response.SerializeToString():
                with self._store.transaction() as tx:
                    remember(tx, result)
            return response

    def _known(self, pending: _Pending) -> bytes | None:
        row = self._store.one("SELECT * FROM requests WHERE request_id = ?", (pending.request_id,))
        if row is None:
            return None
        if (row["method"], row["digest"]) != (pending.method, pending.digest):
            raise RequestIdReused(
                f"request id {pending.request_id} was used for another request",
                what="request id",
                which=pending.request_id,
                do="make up a new id for each request and keep it for retries only",
            )
        return bytes(row["response"])

    @contextlib.contextmanager
    def _claimed(self, pending: _Pending) -> Iterator[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running[pending.request_id] = done
        token = _current.set(pending)
        try:
            yield
        finally:
            _current.reset(token)
            del self._running[pending.request_id]
            done.set_result(None)

    def prune(self) -> None:
        """Forget what is older than a day."""
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM requests WHERE time_ns < ?", (now_ns() - KEEP_NS,))
