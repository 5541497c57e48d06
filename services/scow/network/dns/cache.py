"""Answers of name servers, kept as long as they say."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from scow.network.dns import message
from scow.network.dns.message import Lifetime, MalformedError

_MAX_BYTES = 4 << 20
_MAX_SECONDS = 3600
_KEPT_CODES = (message.NOERROR, message.NXDOMAIN)
# What an entry takes beside its answer, about.
_OVERHEAD = 400


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    life: Lifetime
    since: float


class Cache:
    """The answers, those used last at the end; the others go first when it is full.

    Args:
        size: Bytes that answers may take.
        clock: Seconds.
    """

    def __init__(self, size: int = _MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._used = 0

    def get(self, key: Hashable) -> bytes | None:
        """Return an answer as it is by now, if there is one that is still good."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        age = int(self._clock() - entry.since)
        if age >= entry.life.seconds:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return message.aged(entry.data, entry.life, age)

    def put(self, key: Hashable, data: bytes) -> None:
        """Keep an answer, if it says for how long."""
        if message.code_of(data) not in _KEPT_CODES or message.is_truncated(data):
            return
        try:
            life = message.lifetime(data)
        except MalformedError:
            return
        if life.seconds <= 0:
            return
        life = Lifetime(min(life.seconds, _MAX_SECONDS), life.places)
        self._drop(key)
        self._entries[key] = _Entry(data, life, self._clock())
        self._used += len(data) + _OVERHEAD
        while self._used > self._size:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= len(entry.data) + _OVERHEAD
