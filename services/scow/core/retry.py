"""Patience with the other services: one that was ended and is started again answers within seconds.

Everything that this service asks of them can be asked twice, so a call that was cut is made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scow.contract.backoff import Patience, Pauses
from scow.contract.errors import ServiceUnavailable
from scow.core.peers import translated
from scow.core.trace import remaining

T = TypeVar("T")
_SECONDS = 5.0
# Seconds between attempts, the first and the longest.
_PAUSE, _PAUSE_MAX = 0.05, 0.2


async def ask(service: str, call: Callable[[], Awaitable[T]]) -> T:
    """Call another service, again where it does not answer, for some seconds at most.

    Raises:
        ServiceUnavailable: It is away for longer.
        ScowError: What it says.
    """
    patience = Patience(Pauses(_PAUSE, _PAUSE_MAX), _SECONDS, remaining())
    while True:
        try:
            with translated(service):
                return await call()
        except ServiceUnavailable:
            pause = patience.next()
            if pause is None:
                raise
        await asyncio.sleep(pause)
