"""Calls of a plugin: HTTP over its socket, JSON there and back.

A plugin may hang, go away in the middle, or answer anything: each call has a deadline, an answer has a bound, and only
what the protocol says is taken of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scow.contract.errors import PluginFaulty, PluginRefused, PluginUnavailable

if TYPE_CHECKING:
    import aiohttp

_TYPE = "application/vnd.docker.plugins.v1.2+json"
_ANSWER_MAX = 4 << 20
_NOT_FOUND = 404
_REFUSED = 400
# Characters of what a plugin says that are shown.
_SHOWN = 500


class Client:
    """One plugin, as who calls it sees it.

    Args:
        name: Its name.
        socket: Path of its socket.
        seconds: For each call.
    """

    def __init__(self, name: str, socket: str, seconds: float) -> None:
        self._name = name
        self._socket = socket
        self._seconds = seconds

    async def call(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call, "VolumeDriver.Create"; return the answer, none where the plugin does not have the method.

        Raises:
            PluginRefused: It says that it cannot do this, and why.
            PluginUnavailable: It does not answer, or not in time.
            PluginFaulty: Its answer is not what the protocol says.
        """
        import aiohttp  # takes longer to import than all else here, and few have plugins

        try:
            async with asyncio.timeout(self._seconds):
                status, body = await self._post(method, json.dumps(arguments).encode())
        except TimeoutError as error:
            raise self._away(f"did not answer {method} within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._away(f"cannot be asked: {_text(error)}") from error
        except ValueError as error:  # what aiohttp cannot parse
            raise self._faulty(f"answered {method} by no HTTP: {_text(error)}") from error
        if status == _NOT_FOUND:
            return {}
        answer = self._parsed(method, body)
        self._check(method, status, answer)
        return answer

    async def _post(self, method: str, body: bytes) -> tuple[int, bytes]:
        import aiohttp

        connector = aiohttp.UnixConnector(path=self._socket, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
            session.post(
                f"http://plugin/{method}",
                data=body,
                headers={"Accept": _TYPE, "Content-Type": _TYPE},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response,
        ):
            return response.status, await self._body(method, response)

    async def _body(self, method: str, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(1 << 16):
            body += piece
            if len(body) > _ANSWER_MAX:
                raise self._faulty(f"answered {method} by more than {_ANSWER_MAX} bytes")
        return bytes(body)

    def _parsed(self, method: str, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise self._faulty(f"answered {method} by no JSON: {_text(body)}") from error
        if not isinstance(answer, dict):
            raise self._faulty(f"answered {method} by no object: {_text(body)}")
        return answer

    def _check(self, method: str, status: int, answer: dict[str, Any]) -> None:
        fault = answer.get("Err") or ""
        if not isinstance(fault, str):
            raise self._faulty(f"answered {method} by an error that is no text")
        if fault or status >= _REFUSED:
            raise PluginRefused(
                f"plugin {self._name}: {_text(fault or f'HTTP status {status}')}",
                what="plugin",
                which=self._name,
                do="see the plugin's log",
            )

    def _away(self, fault: str) -> PluginUnavailable:
        return PluginUnavailable(
            f"plugin {self._name} {fault}",
            what="plugin",
            which=self._name,
            do="start the plugin, and try again",
        )

    def _faulty(self, fault: str) -> PluginFaulty:
        return PluginFaulty(
            f"plugin {self._name} {fault}",
            what="plugin",
            which=self._name,
            do="this is a fault of the plugin: see its log",
        )


def _text(said: object) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
