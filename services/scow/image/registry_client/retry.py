"""Patience with registries: another try after a cut, a stall, a server's error or a rate limit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scow.contract.backoff import Pauses
from scow.contract.errors import RegistryUnavailable, ScowError
from scow.image.registry_client.errors import ComeBack, Unreachable, WrongScheme

_PAUSE_SECONDS = 0.25
_PAUSE_MAX_SECONDS = 8.0
Result = TypeVar("Result")


async def patiently(
    attempt: Callable[[], Awaitable[Result]],
    *,
    retries: int,
    longest_wait: float,
    progress: Callable[[], int] = lambda: 0,
) -> Result:
    """Try until it works; failures that last are given up, counted anew after each progress.

    Args:
        attempt: Does it.
        retries: Further attempts after the first.
        longest_wait: Seconds that a registry may ask to wait.
        progress: Grows while it works.

    Raises:
        RegistryUnavailable: It lasts.
        RegistryRateLimited: It lasts, or the registry asks for more patience than there is.
    """
    failures, reached = 0, progress()
    pauses = Pauses(_PAUSE_SECONDS, _PAUSE_MAX_SECONDS, lambda: random.uniform(0.75, 1.25))
    error: ScowError
    while True:
        asked = None
        try:
            return await attempt()
        except ComeBack as later:
            error = later.limited()
            asked = later.seconds
        except (Unreachable, WrongScheme) as problem:
            if not reached:  # nothing to be saved: say so at once
                raise
            error = problem
        except RegistryUnavailable as problem:
            error = problem
        if progress() > reached:
            failures, reached = 0, progress()
            pauses.reset()
        failures += 1
        if failures > retries or (asked or 0.0) > longest_wait:
            raise error
        await asyncio.sleep(pauses.next() if asked is None else asked)
