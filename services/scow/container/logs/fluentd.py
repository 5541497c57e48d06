"""Records for a server of the Forward protocol: fluentd, fluent-bit.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1
"""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from scow.container.logs.sink import Connection, Message, Source
from scow.container.model.invalid import invalid

_ADDRESS, _PORT = "127.0.0.1", 24224
WITHOUT_EFFECT = (
    "fluentd-async",
    "fluentd-async-connect",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-retry-wait",
    "fluentd-write-timeout",
)
OPTIONS = (
    "fluentd-address",
    "fluentd-request-ack",
    "fluentd-sub-second-precision",
    *WITHOUT_EFFECT,
)
_FLAGS = (
    "fluentd-async",
    "fluentd-async-connect",
    "fluentd-request-ack",
    "fluentd-sub-second-precision",
)
_TRUE = ("1", "t", "true")
_ANSWER = 4096


def check(given: Mapping[str, str]) -> None:
    """Check options.

    Raises:
        InvalidConfig: A value is not taken.
    """
    _address(given.get("fluentd-address", ""))
    for name in _FLAGS:
        if given.get(name, "").lower() not in (*_TRUE, "", "0", "f", "false"):
            raise invalid("log.options", f"has {name} {given[name]!r:.100}", "use true or false")


def _address(text: str) -> tuple[str, int]:
    if not text:
        return _ADDRESS, _PORT
    try:
        parts = urlsplit(text if "://" in text else f"tcp://{text}")
        if parts.scheme == "unix" and parts.path.startswith("/") and "\0" not in text:
            return parts.path, 0
        if parts.scheme == "tcp" and not parts.path:
            host = parts.hostname or _ADDRESS
            host.encode("idna")  # as looking it up does
            return host, parts.port or _PORT
    except ValueError:
        pass
    why = f"has an invalid fluentd-address {text!r:.200}"
    raise invalid("log.options", why, "use HOST:PORT, tcp://HOST:PORT or unix:///PATH")


class Fluentd:
    """Sends records; each is a map with log, source, container_id, container_name and what the options name."""

    def __init__(self, source: Source) -> None:
        given = source.given
        host, port = _address(given.get("fluentd-address", ""))
        self._connection = Connection(host, port)
        self._tag = source.tag
        self._precise = given.get("fluentd-sub-second-precision", "").lower() in _TRUE
        self._acknowledged = given.get("fluentd-request-ack", "").lower() in _TRUE
        self._common = {
            "container_id": source.described.id,
            "container_name": f"/{source.described.name}",
            **source.attributes,
        }

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages; with fluentd-request-ack, wait until the server has them."""
        option: dict[str, Any] = {"size": len(messages)}
        chunk = base64.b64encode(os.urandom(16)).decode()
        if self._acknowledged:
            option["chunk"] = chunk
        entries = [[self._time(message), self._record(message)] for message in messages]
        await self._connection.write(pack([self._tag, entries, option]))
        if self._acknowledged:
            answer = b""
            while chunk.encode() not in answer:
                more = await self._connection.read(_ANSWER)
                if not more or len(answer) > _ANSWER:
                    self._connection.close()
                    raise ConnectionError("the server did not acknowledge what was sent")
                answer += more

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _time(self, message: Message) -> object:
        seconds, nanoseconds = divmod(message.time_ns, 1_000_000_000)
        return _EventTime(seconds, nanoseconds) if self._precise else seconds

    def _record(self, message: Message) -> dict[str, Any]:
        record: dict[str, Any] = {
            **self._common,
            "source": message.stream,
            "log": message.data.decode("utf-8", "replace"),
        }
        if message.line:
            record |= {
                "partial_message": "true",
                "partial_id": message.line,
                "partial_ordinal": str(message.ordinal),
                "partial_last": "true" if message.last else "false",
            }
        return record


class _EventTime(tuple[int, int]):
    """Seconds and nanoseconds, an extension of MessagePack."""

    def __new__(cls, seconds: int, nanoseconds: int) -> _EventTime:
        return super().__new__(cls, (seconds, nanoseconds))


def pack(value: object) -> bytes:
    """Return a value as MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md)."""
    if isinstance(value, _EventTime):
        return b"\xd7\x00" + struct.pack(">II", *value)
    if isinstance(value, int):
        return struct.pack("B", value) if 0 <= value < 0x80 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        return _head(len(data), 0xA0, 32, b"\xda", b"\xdb") + data
    if isinstance(value, Mapping):
        items = b"".join(pack(key) + pack(each) for key, each in value.items())
        return _head(len(value), 0x80, 16, b"\xde", b"\xdf") + items
    if isinstance(value, list):
        return _head(len(value), 0x90, 16, b"\xdc", b"\xdd") + b"".join(map(pack, value))
    raise TypeError(type(value))


def _head(length: int, small: int, below: int, medium: bytes, large: bytes) -> bytes:
    if length < below:
        return struct.pack("B", small | length)
    if length < 1 << 16:
        return medium + struct.pack(">H", length)
    return large + struct.pack(">I", length)
