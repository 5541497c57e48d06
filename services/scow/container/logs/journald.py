"""Records for the journal, in its native protocol.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from scow.container.logs.sink import Message, Source
from scow.contract.errors import FailedPrecondition

_ERROR, _INFORMATION = "3", "6"
_SIZE = struct.Struct("<Q")


def check_here(path: Path) -> None:
    """Check that there is a journal.

    Raises:
        FailedPrecondition: There is none.
    """
    if not path.is_socket():
        raise FailedPrecondition(
            f"journald is not enabled on this host: there is no socket {path}",
            what="log driver",
            which="journald",
            do="use another log driver",
        )


class Journald:
    """Sends records; their fields are those of Docker's driver."""

    def __init__(self, source: Source) -> None:
        described = source.described
        self._path = str(source.section.journal_socket)
        self._socket: socket.socket | None = None
        tag = source.tag
        fields = {
            "CONTAINER_ID": described.id[:12],
            "CONTAINER_ID_FULL": described.id,
            "CONTAINER_NAME": described.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": described.config.image,
            "SYSLOG_IDENTIFIER": tag,
        }
        fields |= {_name(name): value for name, value in source.attributes.items()}
        self._common = b"".join(_field(name, value.encode()) for name, value in fields.items())

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages."""
        loop = asyncio.get_running_loop()
        for message in messages:
            if self._socket is None:
                self._socket = self._connected()
            try:
                await loop.sock_sendall(self._socket, self.datagram(message))
            except OSError:
                self.close()
                raise

    def _connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.setblocking(False)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def datagram(self, message: Message) -> bytes:
        """Return a message as it goes over the wire."""
        seconds, nanoseconds = divmod(message.time_ns, 1_000_000_000)
        priority = _ERROR if message.stream == "stderr" else _INFORMATION
        fields = [
            self._common,
            _field("PRIORITY", priority.encode()),
            _field("SYSLOG_TIMESTAMP", f"{seconds}.{nanoseconds:09d}".encode()),
        ]
        if message.line:
            fields += [
                _field("CONTAINER_PARTIAL_ID", message.line.encode()),
                _field("CONTAINER_PARTIAL_ORDINAL", str(message.ordinal).encode()),
                _field("CONTAINER_PARTIAL_LAST", b"true" if message.last else b"false"),
            ]
            if not message.last:
                fields.append(_field("CONTAINER_PARTIAL_MESSAGE", b"true"))
        return b"".join([*fields, _field("MESSAGE", message.data)])


def _field(name: str, value: bytes) -> bytes:
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + _SIZE.pack(len(value)) + value + b"\n"


def _name(text: str) -> str:
    """Return a label's or variable's name as the journal takes it: capital letters, digits, underscores."""
    return re.sub(r"[^A-Z0-9]", "_", text.upper()).lstrip("_")[:64] or "LABEL"
