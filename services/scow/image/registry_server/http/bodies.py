"""Reading what clients send: none takes longer than its length explains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web

from scow.image.registry_server.http.errors import Refusal

# Bytes a second that every client manages.
_LEAST_PACE = 1024


async def read_pieces(request: web.Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """Yield a request's body as it comes.

    Args:
        request: The request.
        stall_seconds: How long nothing may come; and after so long the body must have come at 1 KiB a second.

    Raises:
        TimeoutError: The client stalls, or sends a byte now and then.
    """
    begun = time.monotonic()
    received = 0
    while True:
        left = begun + stall_seconds + received / _LEAST_PACE - time.monotonic()
        async with asyncio.timeout(min(stall_seconds, left)):
            data = await request.content.readany()
        if not data:
            return
        received += len(data)
        yield data


async def read_small(request: web.Request, stall_seconds: float, most: int, code: str) -> bytes:
    """Return a request's whole body.

    Args:
        request: The request.
        stall_seconds: As of `read_pieces`.
        most: Bytes that it may have.
        code: Of the refusal of a larger one.

    Raises:
        Refusal: It is larger: 413.
        TimeoutError: As of `read_pieces`.
    """
    data = bytearray()
    async for piece in read_pieces(request, stall_seconds):
        data += piece
        if len(data) > most:
            raise Refusal(code, f"it has over {most} bytes", status=413)
    return bytes(data)
