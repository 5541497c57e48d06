"""grpc.health.v1 without gRPC: one call over HTTP/2 (RFC 9113), whose frames are written and read by hand.

Headers are sent as literals (RFC 7541, section 6.2.2), and those that come are not read: the message alone decides.
Without one the call has failed, whatever the trailers say.
"""

from __future__ import annotations

import struct

from scow.shim.prober.exchange import READ_MAX, Verdict

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 1, 4, 1, 8
_HEAD = 9
# HealthCheckResponse.ServingStatus.
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_SERVING = 1


class GrpcHealth:
    """One call of grpc.health.v1.Health/Check.

    Args:
        host: Its :authority.
        service: Which service is asked for; empty means the server.
    """

    def __init__(self, host: str, service: str) -> None:
        name = service.encode()
        message = b"\x0a" + _varint(len(name)) + name if name else b""
        body = b"\0" + struct.pack(">I", len(message)) + message
        self.request = (
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, _headers(host))
            + _frame(_DATA, _END_STREAM, 1, body)
        )
        self._seen = b""
        self._read = 0
        self._message = b""
        self._reply = b""

    def reply(self) -> bytes:
        """Return acknowledgements that are due."""
        due, self._reply = self._reply, b""
        return due

    def feed(self, data: bytes) -> Verdict | None:
        """Take bytes of frames."""
        self._read += len(data)
        if not data:
            return Verdict(False, "the connection was closed before there was an answer")
        if self._read > READ_MAX:
            return Verdict(False, "the answer is not one of grpc.health.v1: it is too long")
        self._seen += data
        while len(self._seen) >= _HEAD:
            length = int.from_bytes(self._seen[:3], "big")
            if length > READ_MAX:
                return Verdict(False, "the answer is not HTTP/2")
            if len(self._seen) < _HEAD + length:
                return None
            kind, flags = self._seen[3], self._seen[4]
            stream = int.from_bytes(self._seen[5:9], "big") & 0x7FFFFFFF
            payload = self._seen[_HEAD : _HEAD + length]
            self._seen = self._seen[_HEAD + length :]
            verdict = self._take(kind, flags, stream, payload)
            if verdict is not None:
                return verdict
        return None

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> Verdict | None:
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._reply += _frame(kind, _ACK, 0, payload if kind == _PING else b"")
        elif kind == _GOAWAY or (kind == _RESET and stream == 1):
            return Verdict(False, "the server refused the call")
        elif kind == _DATA and stream == 1:
            padding = payload[0] + 1 if flags & _PADDED and payload else 0
            self._message += payload[1 : len(payload) - padding + 1] if padding else payload
            if (verdict := _verdict(self._message)) is not None:
                return verdict
        if kind in (_DATA, _HEADERS) and stream == 1 and flags & _END_STREAM:
            return Verdict(False, "the call ended without an answer: no service grpc.health.v1")
        return None


def _verdict(body: bytes) -> Verdict | None:
    """Return what a message says once it is whole."""
    if len(body) < 5:
        return None
    size = int.from_bytes(body[1:5], "big")
    if body[0]:
        return Verdict(False, "the answer is compressed, which was not asked for")
    if len(body) < 5 + size:
        return None
    message = body[5 : 5 + size]
    status = message[1] if len(message) >= 2 and message[0] == 8 else 0
    return Verdict(status == _SERVING, _STATUSES.get(status, f"status {status}"))


def _headers(host: str) -> bytes:
    pairs = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", host.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"scow-probe"),
    )
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in pairs)


def _text(data: bytes) -> bytes:
    """Return a string literal (RFC 7541, section 5.2); all of them are shorter than 127 bytes but the host."""
    return _prefixed(len(data)) + data


def _prefixed(number: int) -> bytes:
    return bytes((number,)) if number < 127 else b"\x7f" + _varint(number - 127)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream)
    return head + payload
