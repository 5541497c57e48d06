"""Patience with the other services: one that was ended and is started again answers within seconds.

Everything that this service asks of them can be asked twice, so a call that was cut is made again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scow.contract.errors import ServiceUnavailable
from scow.core.peers import translated
from scow.core.trace import remaining

T = TypeVar("T")
_SECONDS = 5.0
_PAUSE = 0.1


async def ask(service: str, call: Callable[[], Awaitable[T]]) -> T:
    """Call another service, again where it does not answer, for some seconds at most.

    Raises:
        ServiceUnavailable: It is away for longer.
        ScowError: What it says.
    """
    left = remaining()
    deadline = time.monotonic() + (_SECONDS if left is None else min(_SECONDS, left))
    while True:
        try:
            with translated(service):
                return await call()
        except ServiceUnavailable:
            if time.monotonic() + _PAUSE > deadline:
                raise
        await asyncio.sleep(_PAUSE)
