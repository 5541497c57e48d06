"""Where records are sent: what all servers have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scow.api.container.v1.container_pb2 import Container
from scow.container.logs import about
from scow.core.config import ContainerSection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """One record.

    Attributes:
        stream: "stdout" or "stderr".
        time_ns: When it was written, nanoseconds since 1970 UTC.
        data: What was written, without the newline at the end.
        line: Of a line in several records what they have in common; empty where one record has the whole line.
        ordinal: Which of them this is, from 1 on.
        last: Whether it is the last one.
    """

    stream: str
    time_ns: int
    data: bytes
    line: str = ""
    ordinal: int = 0
    last: bool = True


@dataclass(frozen=True)
class Source:
    """The container whose records are sent."""

    described: Container
    given: Mapping[str, str]
    section: ContainerSection

    @property
    def tag(self) -> str:
        """Return the tag of its records."""
        return about.tag(self.described, self.given)

    @property
    def attributes(self) -> dict[str, str]:
        """Return the labels and variables that its records have."""
        return about.attributes(self.described, self.given)


class Sink(Protocol):
    """A connection to a server, which is made when something is sent."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages, in order; when it returns they are with the server, as far as its protocol tells.

        Raises:
            OSError, TimeoutError: They are not, or not all of them: send them again.
        """

    def close(self) -> None:
        """Close the connection."""


class Connection:
    """A stream to a server, connected when it is needed.

    Args:
        host: Name or address; or the path of a unix socket, where there is no port.
        port: The TCP port; 0 for a unix socket.
        tls: With TLS.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        streams = self._streams
        if streams is None or streams[0].at_eof() or streams[1].is_closing():
            self.close()
            if self._port:
                streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
            else:
                streams = await asyncio.open_unix_connection(self._host)
            self._streams = streams
        return streams

    async def write(self, data: bytes) -> None:
        """Send bytes; a connection over which they could not be sent is closed."""
        try:
            async with asyncio.timeout(_SECONDS):
                _, writer = await self._connected()
                writer.write(data)
                await writer.drain()
        except BaseException:
            self.close()
            raise

    async def read(self, size: int) -> bytes:
        """Return what the server answers, at most so many bytes; empty when it has closed the connection."""
        try:
            async with asyncio.timeout(_SECONDS):
                reader, _ = await self._connected()
                return await reader.read(size)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it; the next write connects again."""
        streams, self._streams = self._streams, None
        if streams is not None:
            with contextlib.suppress(OSError, RuntimeError):
                streams[1].close()
