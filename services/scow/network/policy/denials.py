"""What policies denied, packet by packet, as the kernel tells it (nfnetlink_log, linux/netfilter/nfnetlink_log.h).

Rules of nftables hand the beginning of some denied packets to a group; this reads them. Many are not told: the kernel
tells one a second of each rule, and the same destination counts once a minute.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NETFILTER = 12  # NETLINK_NETFILTER, which the socket module lacks
_PACKET, _CONFIG = 4 << 8, 4 << 8 | 1  # NFNL_SUBSYS_ULOG; NFULNL_MSG_PACKET, NFULNL_MSG_CONFIG
_COMMAND, _MODE = 1, 2  # NFULA_CFG_CMD, NFULA_CFG_MODE
_BIND, _COPY = 1, 2  # NFULNL_CFG_CMD_BIND, NFULNL_COPY_PACKET
_PAYLOAD, _PREFIX = 9, 10  # NFULA_PAYLOAD, NFULA_PREFIX
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_REQUEST = 1
_GENERAL = 4  # Bytes of struct nfgenmsg.
_COPIED = 128
_RECEIVE = 1 << 16
_TRANSPORT = {6: "tcp", 17: "udp", 132: "sctp"}
_AGAIN_SECONDS, _MAX_TOLD = 60.0, 1000


@dataclass(frozen=True)
class Denial:
    """A packet that was denied.

    Attributes:
        table: Of the policy.
        rule: Its number, or "default".
        destination: "192.0.2.1:443/tcp"; without a port where the protocol has none.
    """

    table: str
    rule: str
    destination: str


def group_of(instance: str) -> int:
    """Return the group of an engine's policies; of two engines with the same, which is rare, one is told nothing."""
    return 1024 + zlib.crc32(instance.encode()) % 60000


class Seldom:
    """Tells whether something was not told within the last minute."""

    def __init__(self) -> None:
        self._told: dict[Denial, float] = {}

    def is_new(self, denial: Denial) -> bool:
        """Tell whether it is to be told; at most a thousand different ones are within a minute."""
        now = time.monotonic()
        if now - self._told.get(denial, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return False
        if len(self._told) >= _MAX_TOLD:
            self._told = {d: t for d, t in self._told.items() if now - t < _AGAIN_SECONDS}
            if len(self._told) >= _MAX_TOLD:
                return False
        self._told[denial] = now
        return True


class DenialWatch:
    """Calls back for each packet that is told of.

    Args:
        group: To listen to.
        callback: Gets what was denied.
    """

    def __init__(self, group: int, callback: Callable[[Denial], None]) -> None:
        self._callback = callback
        self._seldom = Seldom()
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
        self._socket.bind((0, 0))
        for attribute, value in (
            (_COMMAND, struct.pack("=B", _BIND)),
            (_MODE, struct.pack("!IBx", _COPIED, _COPY)),
        ):
            self._socket.send(_configuration(group, attribute, value))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except OSError:  # nothing, or more came than there was room for
            return
        for denial in parse(data):
            if self._seldom.is_new(denial):
                self._callback(denial)

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


def _configuration(group: int, attribute: int, value: bytes) -> bytes:
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, group)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), attribute) + value
    body += bytes(-len(body) % 4)
    return _HEADER.pack(_HEADER.size + len(body), _CONFIG, _REQUEST, 0, 0) + body


def parse(data: bytes) -> Iterator[Denial]:
    """Yield the denials that netlink messages tell of; what cannot be read is passed over."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, position)
        end = position + max(length, _HEADER.size)
        if kind == _PACKET:
            found = _attributes(data[position + _HEADER.size + _GENERAL : end])
            table, _, rule = (
                found.get(_PREFIX, b"").rstrip(b"\0").decode(errors="replace").rpartition(" ")
            )
            if table:
                yield Denial(table, rule, destination(found.get(_PAYLOAD, b"")))
        position = end + -end % 4


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        length = max(length, _ATTRIBUTE.size)
        found[kind & 0x3FFF] = data[position + _ATTRIBUTE.size : position + length]
        position += length + -length % 4
    return found


def destination(packet: bytes) -> str:
    """Return where a packet goes to, as far as its beginning tells."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        address, protocol = packet[16:20], packet[9]
        rest = packet[(packet[0] & 0xF) * 4 :]
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        address, protocol, rest = packet[24:40], packet[6], packet[40:]
    else:
        return "unknown"
    text = str(ipaddress.ip_address(address))
    name = _TRANSPORT.get(protocol)
    if name is None or len(rest) < 4:
        return f"{text}/{name or protocol}"
    port = int.from_bytes(rest[2:4], "big")
    return f"[{text}]:{port}/{name}" if ":" in text else f"{text}:{port}/{name}"
