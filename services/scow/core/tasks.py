"""Work that runs side by side, to its end, or on its own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from scow.core.trace import current_deadline

T = TypeVar("T")
_log = structlog.get_logger()


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run side by side; when one fails, cancel the others, wait for them, and raise what it raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also when the caller goes away or its deadline passes; then the cancellation goes on."""
    context = contextvars.copy_context()
    context.run(current_deadline.set, None)
    task = asyncio.get_running_loop().create_task(work, context=context)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("failed after the caller had gone", error=str(error))
        raise


class Background:
    """Tasks that belong to no call: they have no deadline, no actor and no request."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run on its own; a failure is logged."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a background task failed", exc_info=error)

    async def close(self) -> None:
        """Cancel all of them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
