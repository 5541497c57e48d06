"""Attempts to log in: how many an address may make, and whose turn it is to have a password checked.

A check takes a processor for a tenth of a second, on purpose. So that wrong passwords do not keep right ones waiting,
addresses take turns, and one that was wrong often has to wait before it may try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable

from scow.image.registry_server.http.errors import Refusal

# Wrong attempts that an address has at first, and seconds in which one more is given.
_WRONG = 10
_SECONDS_EACH = 6.0
# Checks of one address that wait for their turn.
_WAITING = 16
# Addresses that are remembered; the one that was wrong longest ago is forgotten first.
_ADDRESSES = 4096
# Checks at once: there may be but two processors.
_AT_ONCE = 1


class Attempts:
    """Lets attempts through.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When an address will have all its attempts again.
        self._whole_at: OrderedDict[str, float] = OrderedDict()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._running = 0

    @contextlib.asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Have a password checked for the length of the block, when it is the address's turn.

        Raises:
            Refusal: TOOMANYREQUESTS: it was wrong too often, or has too many attempts that wait.
        """
        key = network_of(address)
        self._check(key)
        if self._running < _AT_ONCE:
            self._running += 1
        else:
            await self._wait(key)
        try:
            self._check(key)  # those before it may have been wrong
            yield
        finally:
            self._running -= 1
            self._next()

    def wrong(self, address: str) -> None:
        """Note that an attempt was wrong."""
        key = network_of(address)
        now = self._clock()
        self._whole_at[key] = max(now, self._whole_at.get(key, now)) + _SECONDS_EACH
        self._whole_at.move_to_end(key)
        while len(self._whole_at) > _ADDRESSES:
            self._whole_at.popitem(last=False)

    def _check(self, key: str) -> None:
        wait = self._whole_at.get(key, 0.0) - self._clock() - (_WRONG - 1) * _SECONDS_EACH
        if wait > 0:
            raise _too_many("too many attempts with wrong passwords", wait)

    async def _wait(self, key: str) -> None:
        queue = self._queues.setdefault(key, deque())
        if len(queue) >= _WAITING:
            raise _too_many("too many attempts at once", _SECONDS_EACH)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(ready)
        try:
            await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():  # it was its turn already
                self._running -= 1
                self._next()
            raise

    def _next(self) -> None:
        """Give the turn to the address that has waited longest since its last one."""
        while self._queues and self._running < _AT_ONCE:
            key, queue = self._queues.popitem(last=False)
            ready = queue.popleft()
            if queue:
                self._queues[key] = queue
            if not ready.done():
                self._running += 1
                ready.set_result(None)


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 a network of 64 bits, which one machine may have to itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _too_many(why: str, seconds: float) -> Refusal:
    headers = {"Retry-After": str(int(seconds) + 1)}
    return Refusal("TOOMANYREQUESTS", f"{why}: try again later", headers=headers)
