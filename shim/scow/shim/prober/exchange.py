"""What a probe says on its connection, and what it makes of the answers. Bytes in, bytes out: no socket is touched.

Who answers is a container's program, so what is read of it is bounded and never trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

# Bytes of output that are kept of a probe, and bytes that are read before its answer has to be there.
OUTPUT_MAX = 4096
READ_MAX = 16 << 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a probe ended.

    Attributes:
        healthy: The container is well.
        output: What it answered, or what failed.
        timed_out: It took too long.
    """

    healthy: bool
    output: str
    timed_out: bool = False


class Exchange(Protocol):
    """One conversation."""

    # Sent once the connection is there; empty means that the connection itself is the answer.
    request: bytes

    def feed(self, data: bytes) -> Verdict | None:
        """Take what was received; return the verdict once it is known. No bytes mean the end of the stream."""

    def reply(self) -> bytes:
        """Return what is to be sent meanwhile, once."""


class Tcp:
    """A connection that is accepted."""

    request = b""

    def feed(self, data: bytes) -> Verdict | None:
        """Answer nothing: it is never asked."""
        raise NotImplementedError

    def reply(self) -> bytes:
        """Return nothing."""
        return b""


class Http:
    """GET, which is answered with a status from 200 to 399 (RFC 9112, section 4).

    Args:
        host: As the header Host has it.
        target: Path and query.
    """

    def __init__(self, host: str, target: str) -> None:
        text = (
            f"GET {target or '/'} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: scow-probe\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        )
        self.request = text.encode("ascii")
        self._seen = b""

    def feed(self, data: bytes) -> Verdict | None:
        """Take bytes: the status line decides, what of the rest came with the head is output."""
        self._seen += data
        line, newline, _ = self._seen.partition(b"\n")
        if data and not newline and len(self._seen) < READ_MAX:
            return None
        version, _, rest = line.rstrip(b"\r").partition(b" ")
        code, _, reason = rest.partition(b" ")
        if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
            return Verdict(False, "the answer is not HTTP: " + readable(self._seen[:256]))
        if data and b"\r\n\r\n" not in self._seen and len(self._seen) < READ_MAX:
            return None  # the head comes whole, so that the server sees no error
        body = self._seen.partition(b"\r\n\r\n")[2]
        text = f"HTTP {int(code)} {readable(reason)}".rstrip()
        if body:
            text += "\n" + readable(body)
        # Bytes: each that is no text became three of them, and an answer has to fit into a packet.
        output = text.encode()[:OUTPUT_MAX].decode("utf-8", "ignore")
        return Verdict(200 <= int(code) < 400, output)

    def reply(self) -> bytes:
        """Return nothing."""
        return b""


def readable(data: bytes) -> str:
    """Return text of a stranger."""
    return data[:OUTPUT_MAX].decode("utf-8", "replace")
