"""Responses: JSON as the shapes have it, and streams of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aiohttp import web

from scow.words.template.values import to_json

if TYPE_CHECKING:
    from scow.contract.errors import ScowError


def answer(value: object, status: int = 200) -> web.Response:
    """Return a value as JSON."""
    # Without a charset: Docker's clients compare the type as a whole.
    headers = {"Content-Type": "application/json"}
    return web.Response(status=status, body=to_json(value).encode() + b"\n", headers=headers)


def empty(status: int = 204) -> web.Response:
    """Return a response without a body."""
    return web.Response(status=status)


class Messages:
    """A response of many messages of JSON; nothing is sent before the first, so that an error can be a status.

    Args:
        request: What is answered.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers={"Content-Type": "application/json"})

    @property
    def begun(self) -> bool:
        """Whether something was sent."""
        return self.response.prepared

    async def begin(self) -> Self:
        """Send the head."""
        if not self.response.prepared:
            await self.response.prepare(self._request)
        return self

    async def send(self, **message: object) -> None:
        """Send a message."""
        await self.begin()
        await self.response.write(to_json(message).encode() + b"\r\n")

    async def fail(self, error: ScowError) -> None:
        """Send an error as the last message, or raise it where nothing was sent yet."""
        if not self.begun:
            raise error
        await self.send(errorDetail={"message": str(error)}, error=str(error))

    async def end(self) -> web.StreamResponse:
        """Finish the response."""
        await self.begin()
        await self.response.write_eof()
        return self.response
