"""Connections: not too many, and none that never asks for anything, so that strangers cannot use up descriptors."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from scow.image.registry_server.auth.attempts import network_of


class Doors:
    """Lets connections in.

    Args:
        most: Connections at once; further ones are hung up on.
        most_each: Of these, how many may come from one address; 0 means all.
        patience: Seconds within which the first request must have come.
    """

    def __init__(self, most: int, most_each: int, patience: float) -> None:
        self._most = most
        self._most_each = most_each or most
        self._patience = patience
        # What ends those that have not asked yet; None for the others.
        self._timers: dict[asyncio.BaseTransport, asyncio.TimerHandle | None] = {}
        self._addresses: dict[asyncio.BaseTransport, str] = {}
        self._counts: Counter[str] = Counter()

    def guard(self, make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Return a factory of protocols that stand before those of another one."""
        return lambda: _Guarded(self, make())

    def enter(self, transport: asyncio.Transport) -> None:
        """Let a connection in, or hang up."""
        peer = transport.get_extra_info("peername")
        address = network_of(peer[0]) if isinstance(peer, tuple) else ""
        if len(self._timers) >= self._most or self._counts[address] >= self._most_each:
            transport.abort()
            return
        self._addresses[transport] = address
        self._counts[address] += 1
        loop = asyncio.get_running_loop()
        self._timers[transport] = loop.call_later(self._patience, transport.abort)

    def asked(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a connection's request has come; its handler watches over it from now on."""
        timer = self._timers.get(transport) if transport is not None else None
        if transport is not None and timer is not None:
            timer.cancel()
            self._timers[transport] = None

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        timer = self._timers.pop(transport, None)
        if timer is not None:
            timer.cancel()
        address = self._addresses.pop(transport, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


class _Guarded(asyncio.Protocol):
    """Hands everything on."""

    def __init__(self, doors: Doors, inner: asyncio.Protocol) -> None:
        self._doors = doors
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._doors.enter(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._doors.leave(self._transport)
        self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
