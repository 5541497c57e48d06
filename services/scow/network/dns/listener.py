"""The sockets on which a container asks: 127.0.0.11, port 53, inside of its own namespace, as Docker has it.

The sockets are bound to other ports, and rules in the namespace translate, so that a container may be a name server
itself and listen on port 53 of all its addresses. The translation is stateless: no connection is tracked for it. While
the service is away, nobody tells the container that the port is closed: libraries ask again after some seconds, where
they would fail at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any

from scow.network.firewall.nftables import Command, Nftables
from scow.network.kernel import netns

ADDRESS = "127.0.0.11"
PORT = 53
_TABLE = {"family": "ip", "name": "scow_dns"}
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_FLAGS = struct.Struct("16sH22x")  # the beginning of struct ifreq, netdevice(7)
_BACKLOG = 32
_RECEIVE_BUFFER = 256 << 10


@dataclass(frozen=True)
class Listener:
    """Sockets of a container's own."""

    packets: socket.socket
    streams: socket.socket


async def listen(namespace: int) -> Listener:
    """Return sockets in a namespace to which port 53 leads, in place of any others.

    Args:
        namespace: A descriptor of it.

    Raises:
        LinkFailed: It cannot be entered.
        KernelUnsupported: It takes no rules.
    """
    return await netns.inside_soon(namespace, _open)


def _open() -> Listener:
    with contextlib.ExitStack() as stack:
        _set_loopback_up()
        packets = stack.enter_context(_bound(socket.SOCK_DGRAM))
        streams = stack.enter_context(_bound(socket.SOCK_STREAM))
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        streams.listen(_BACKLOG)
        nftables = Nftables()
        # Closing its socket waits for all processors, 10 ms or more; nobody need wait with it.
        ended = threading.Thread(target=nftables.close, name="nftables", daemon=True)
        try:
            nftables.run(_rules(packets.getsockname()[1], streams.getsockname()[1]))
        finally:
            ended.start()
        stack.pop_all()
        return Listener(packets, streams)


def _set_loopback_up() -> None:
    """Set loopback up, which its container may not have done yet: it has no addresses before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
        found = fcntl.ioctl(one, _SIOCGIFFLAGS, _FLAGS.pack(b"lo", 0))
        name, flags = _FLAGS.unpack(found)
        if not flags & _IFF_UP:
            fcntl.ioctl(one, _SIOCSIFFLAGS, _FLAGS.pack(name, flags | _IFF_UP))


def _bound(kind: socket.SocketKind) -> socket.socket:
    one = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        one.bind((ADDRESS, 0))
    except OSError:
        one.close()
        raise
    return one


def _rules(packets: int, streams: int) -> list[Command]:
    chain = {"family": "ip", "table": _TABLE["name"], "name": "output"}
    hook = {"type": "filter", "hook": "output", "prio": -300, "policy": "accept"}
    commands: list[Command] = [
        {"add": {"table": _TABLE}},
        {"delete": {"table": _TABLE}},
        {"add": {"table": _TABLE}},
        {"add": {"chain": {**chain, **hook}}},
    ]
    to_us, from_us = _is("ip", "daddr", ADDRESS), _is("ip", "saddr", ADDRESS)
    rules: list[list[Any]] = []
    for protocol, port in (("udp", packets), ("tcp", streams)):
        rules += [
            [to_us, _is(protocol, "dport", PORT), _set(protocol, "dport", port)],
            [from_us, _is(protocol, "sport", port), _set(protocol, "sport", PORT)],
        ]
    rules.append([from_us, _is("icmp", "type", "destination-unreachable"), {"drop": None}])
    place = {"family": "ip", "table": _TABLE["name"], "chain": "output"}
    return [*commands, *({"add": {"rule": {**place, "expr": rule}}} for rule in rules)]


def _is(protocol: str, field: str, value: str | int) -> dict[str, Any]:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": "==", "left": left, "right": value}}


def _set(protocol: str, field: str, value: int) -> dict[str, Any]:
    return {"mangle": {"key": {"payload": {"protocol": protocol, "field": field}}, "value": value}}
