"""What the kernel tells of denied packets, read from bytes."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from scow.network.policy.denials import Denial, Seldom, destination, parse

_TCP = bytes([0x45, 0, 0, 40]) + bytes(5) + b"\x06" + bytes(2) + socket.inet_aton("10.0.0.2")
_PACKET = _TCP + socket.inet_aton("192.0.2.9") + struct.pack("!HH", 1234, 443) + bytes(16)
_SIX = bytes([0x60]) + bytes(5) + b"\x11" + bytes(17)


def told(prefix: bytes, packet: bytes) -> bytes:
    body = bytes(4)
    for kind, value in ((10, prefix + b"\0"), (9, packet)):
        body += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), 4 << 8, 0, 0, 0) + body


def test_messages_are_read() -> None:
    data = told(b"t-policy-1 0", _PACKET) + told(b"t-policy-2 default", b"")
    assert list(parse(data)) == [
        Denial("t-policy-1", "0", "192.0.2.9:443/tcp"),
        Denial("t-policy-2", "default", "unknown"),
    ]


def test_where_packets_go() -> None:
    six = _SIX + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert destination(six + struct.pack("!HH", 1, 53)) == "[2001:db8::1]:53/udp"
    assert destination(_PACKET[:9] + b"\x01" + _PACKET[10:]) == "192.0.2.9/1"
    assert destination(_PACKET[:20]) == "192.0.2.9/tcp"


@given(st.binary(max_size=200))
def test_rubbish_is_passed_over(data: bytes) -> None:
    list(parse(data))
    list(parse(told(b"t 1", data)))


def test_the_same_is_told_once() -> None:
    seldom = Seldom()
    assert [seldom.is_new(Denial("t", "0", "a")) for _ in range(3)] == [True, False, False]
    assert sum(seldom.is_new(Denial("t", "0", str(n))) for n in range(2000)) == 999
