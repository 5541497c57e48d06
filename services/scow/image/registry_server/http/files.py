"""Sending a file, or a range of it: read in threads, one piece at a time, so that memory stays flat."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass

from aiohttp import web

from scow.image.registry_server.http.errors import Refusal

_PIECE = 512 << 10
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
# Longer numbers are beyond every file.
_DIGITS = 18


@dataclass(frozen=True)
class Span:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def parse_range(text: str, size: int) -> Span | None:
    """Return the span that a Range header asks for, None when all is to be sent (RFC 9110, section 14.2).

    Raises:
        Refusal: RANGE_INVALID (416): nothing of it is there.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or match[1] == match[2] == "":
        return None  # no range, several, or of another unit: may be ignored
    first, last = (int(number[:_DIGITS]) if number else None for number in match.groups())
    if first is None:
        assert last is not None
        span = Span(max(0, size - last), size)
    else:
        if last is not None and last < first:
            return None
        span = Span(first, size if last is None else min(size, last + 1))
    if span.start >= span.end:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal("RANGE_INVALID", "the range is beyond the end", headers=headers)
    return span


async def send_file(
    request: web.Request,
    descriptor: int,
    headers: dict[str, str],
    stall_seconds: float,
) -> web.StreamResponse:
    """Send an open file, or what the request's Range asks for.

    Args:
        request: The request.
        descriptor: Of the file; the caller closes it.
        headers: Of the answer.
        stall_seconds: After so long without a byte taken the client is given up.

    Raises:
        Refusal: RANGE_INVALID.
        TimeoutError: The client takes nothing.
    """
    size = os.fstat(descriptor).st_size
    span = parse_range(request.headers.get("Range", ""), size)
    response = web.StreamResponse(status=206 if span else 200, headers=headers)
    response.headers["Accept-Ranges"] = "bytes"
    if span is not None:
        response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    span = span or Span(0, size)
    response.content_length = span.end - span.start
    await response.prepare(request)
    if request.method != "HEAD":
        await _copy(response, descriptor, span, stall_seconds)
    await response.write_eof()
    return response


async def _copy(
    response: web.StreamResponse, descriptor: int, span: Span, stall_seconds: float
) -> None:
    position = span.start
    while position < span.end:
        count = min(_PIECE, span.end - position)
        piece = await asyncio.to_thread(os.pread, descriptor, count, position)
        if not piece:
            raise ConnectionError("the file became shorter while it was sent")
        position += len(piece)
        async with asyncio.timeout(stall_seconds):
            await response.write(piece)
