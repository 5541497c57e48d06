"""The relay: a program of its own that carries connections and datagrams between two address families.

The network service starts it, with `python -I -S` and a socket in place of standard input, when somebody first uses
a port whose family the container does not speak: nftables does not translate between families. It loads nothing of
the engine. When the service ends it accepts nothing new and carries on with what it has until that ends.

Messages come as JSON with descriptors (unix(7), SCM_RIGHTS), each is answered by "{}":

    {"open": [[door, protocol, address, port, allow], ...]}    as many descriptors: sockets to listen on, where they
                                                               lead, and the blocks of addresses that may use them
    {"shut": [door, ...]}                               closed, and with them what goes through them
"""

from __future__ import annotations

import errno
import ipaddress
import json
import selectors
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

_CHUNK = 1 << 17
_DATAGRAM = 1 << 16
_MESSAGE = 1 << 16
_MAX_DESCRIPTORS = 250
# Above it connections wait in the backlog of their port.
_MAX_CONNECTIONS = 4096
_MAX_FLOWS = 1024
# Of silence, after which a flow of datagrams is forgotten: docker's figure.
_FLOW_SECONDS = 90.0
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_TICK_SECONDS = 10.0
# By family: the level, the option of the ancillary data, and the one that asks for it (ip(7), ipv6(7)).
_IP_PKTINFO = 8  # which the socket module lacks
_PKTINFO = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_PKTINFO, _IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, socket.IPV6_RECVPKTINFO),
}
_CLOSE_BY_RESET = struct.pack("ii", 1, 0)
_AGAIN = (errno.EAGAIN, errno.EINTR, errno.EINPROGRESS)

Target = tuple[str, int]
Handler = Callable[[int], None]


class Loop:
    """Waits for sockets and calls their handlers.

    Attributes:
        load: Connections and flows that go through.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.load = 0

    def watch(self, one: socket.socket, events: int, handler: Handler) -> None:
        """Wait for these events of a socket from now on; 0 for none."""
        key = self._selector.get_map().get(one)
        if key is None:
            if events:
                self._selector.register(one, events, handler)
        elif not events:
            self._selector.unregister(one)
        elif key.events != events:
            self._selector.modify(one, events, handler)

    def turn(self, seconds: float) -> None:
        """Handle what comes within some seconds."""
        for key, events in self._selector.select(seconds):
            # A handler before it may have closed this one.
            if self._selector.get_map().get(key.fd) is key:
                key.data(events)


class Connection:
    """Two TCP sockets, each of which gets what the other one reads."""

    def __init__(self, loop: Loop, client: socket.socket, target: Target, done: Handler) -> None:
        self._loop = loop
        self._done = done
        loop.load += 1
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._ends = (client, server)
        # What waits to be written to each end; whether no more comes for it, and whether it was told so.
        self._pending: list[memoryview] = [memoryview(b""), memoryview(b"")]
        self._ended = [False, False]
        self._told = [False, False]
        self._connected = False
        self._handlers = (partial(self._handle, 0), partial(self._handle, 1))
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = server.connect_ex(target)
        if code not in (0, *_AGAIN):
            self.close()
            return
        loop.watch(server, _WRITE, self._handlers[1])

    def _handle(self, end: int, events: int) -> None:
        try:
            if not self._connected:
                self._connect()
            if events & _READ:
                self._read(end)
            if events & _WRITE:
                self._write(end)
            self._wait()
        except OSError as error:
            if error.errno not in _AGAIN:
                self.close()

    def _connect(self) -> None:
        code = self._ends[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "not connected")
        self._connected = True

    def _read(self, end: int) -> None:
        other = 1 - end
        data = self._ends[end].recv(_CHUNK)
        self._pending[other] = memoryview(data)
        self._ended[other] = not data
        self._write(other)

    def _write(self, end: int) -> None:
        if self._pending[end]:
            try:
                self._pending[end] = self._pending[end][self._ends[end].send(self._pending[end]) :]
            except BlockingIOError:
                return
        if self._ended[end] and not self._told[end] and not self._pending[end]:
            self._told[end] = True
            self._ends[end].shutdown(socket.SHUT_WR)

    def _wait(self) -> None:
        if all(self._told):
            self.close(reset=False)
            return
        for end in (0, 1):
            other = 1 - end
            events = 0
            # Nothing more is read than is written: who is slow slows the other one down.
            if not self._pending[other] and not self._ended[other]:
                events |= _READ
            if self._pending[end]:
                events |= _WRITE
            self._loop.watch(self._ends[end], events, self._handlers[end])

    def close(self, reset: bool = True) -> None:
        """End it.

        Args:
            reset: Whether both ends see a broken connection, and not the end of what was said.
        """
        for end in self._ends:
            self._loop.watch(end, 0, self._done)
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_BY_RESET)
            end.close()
        self._loop.load -= 1
        self._done(0)


class Sources:
    """Who may use a door: blocks of addresses, and the host itself.

    Args:
        allow: The blocks; none means everybody.
    """

    def __init__(self, allow: Sequence[str]) -> None:
        self._blocks = [ipaddress.ip_network(block) for block in allow]

    def have(self, peer: object, local: str) -> bool:
        """Tell whether a peer is one of them.

        Args:
            peer: Its address and port.
            local: The address of the host that it speaks to: the host's own packets come from it.
        """
        if not self._blocks:
            return True
        assert isinstance(peer, tuple)
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        own = address.is_loopback or str(address) == local
        return own or any(address in block for block in self._blocks)


class StreamDoor:
    """A TCP port that is listened on."""

    def __init__(
        self, loop: Loop, listener: socket.socket, target: Target, sources: Sources
    ) -> None:
        self._loop = loop
        self._sources = sources
        self._listener = listener
        self._target = target
        self._connections: set[Connection] = set()
        listener.setblocking(False)
        self.listen(True)

    def listen(self, wanted: bool) -> None:
        """Accept connections, or let them wait."""
        if self._listener.fileno() >= 0:
            self._loop.watch(self._listener, _READ if wanted else 0, self._accept)

    def _accept(self, _: int) -> None:
        try:
            client, peer = self._listener.accept()
        except OSError as error:
            # Without descriptors to spare, again at the next tick.
            self.listen(error.errno in (*_AGAIN, errno.ECONNABORTED))
            return
        if not self._sources.have(peer, client.getsockname()[0]):
            client.close()
            return
        client.setblocking(False)
        made: list[Connection] = []
        ended: list[int] = []

        def done(code: int) -> None:
            ended.append(code)
            self._connections.difference_update(made)

        made.append(Connection(self._loop, client, self._target, done))
        if not ended:
            self._connections.update(made)

    def tick(self) -> None:
        """Begin again to accept, where that had failed."""
        self.listen(True)

    def leave(self) -> None:
        """Accept nothing more; connections go on."""
        self.listen(False)
        self._listener.close()

    def shut(self) -> None:
        """End all of it."""
        self.leave()
        for connection in list(self._connections):
            connection.close()


class DatagramDoor:
    """A UDP port: each client gets a socket of its own, so that answers find their way."""

    def __init__(self, loop: Loop, one: socket.socket, target: Target, sources: Sources) -> None:
        self._loop = loop
        self._sources = sources
        self._socket = one
        self._target = target
        # By client and the address that it spoke to; those that spoke last are last.
        self._flows: OrderedDict[tuple[object, bytes], tuple[socket.socket, list[float]]] = (
            OrderedDict()
        )
        one.setblocking(False)
        self._level, self._kind, receive = _PKTINFO[one.family]
        one.setsockopt(self._level, receive, 1)
        self.listen(True)

    def listen(self, wanted: bool) -> None:
        """Receive datagrams, or let them wait."""
        if self._socket.fileno() >= 0:
            self._loop.watch(self._socket, _READ if wanted else 0, self._receive)

    def _receive(self, _: int) -> None:
        try:
            data, ancillary, _flags, client = self._socket.recvmsg(_DATAGRAM, socket.CMSG_SPACE(20))
        except OSError:
            return
        local = next((d for _level, kind, d in ancillary if kind == self._kind), b"")
        if not self._sources.have(client, self._address(local)):
            return
        try:
            self._flow(client, local).send(data)
        except OSError:  # refused, or no room: datagrams may be lost
            return

    def _address(self, local: bytes) -> str:
        """Return the address that a datagram came to: the last of IPv4's three values, the first of IPv6's two."""
        if self._socket.family == socket.AF_INET6:
            return str(ipaddress.ip_address(local[:16])) if len(local) >= 16 else ""
        return str(ipaddress.ip_address(local[8:12])) if len(local) >= 12 else ""

    def _flow(self, client: object, local: bytes) -> socket.socket:
        key = (client, local)
        if key in self._flows:
            server, seen = self._flows[key]
            seen[0] = time.monotonic()
            self._flows.move_to_end(key)
            return server
        if len(self._flows) >= _MAX_FLOWS:
            self._forget(next(iter(self._flows)))
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        server.connect(self._target)
        self._flows[key] = server, [time.monotonic()]
        self._loop.load += 1
        self._loop.watch(server, _READ, lambda _events: self._answer(key))
        return server

    def _answer(self, key: tuple[object, bytes]) -> None:
        server, seen = self._flows[key]
        client, local = key
        # The address that was asked is the one that answers.
        ancillary = [(self._level, self._kind, local)] if local else []
        try:
            data = server.recv(_DATAGRAM)
            seen[0] = time.monotonic()
            self._socket.sendmsg([data], ancillary, 0, client)  # type: ignore[arg-type]
        except OSError:  # nobody listens in the container, or the client is unreachable
            return

    def tick(self) -> None:
        """Forget flows that are silent."""
        before = time.monotonic() - _FLOW_SECONDS
        for key in [k for k, (_server, seen) in self._flows.items() if seen[0] < before]:
            self._forget(key)

    def _forget(self, key: tuple[object, bytes]) -> None:
        server, _seen = self._flows.pop(key)
        self._loop.load -= 1
        self._loop.watch(server, 0, self._receive)
        server.close()

    def leave(self) -> None:
        """End all of it: who asks by datagrams asks again."""
        self.shut()

    def shut(self) -> None:
        """End all of it."""
        self.listen(False)
        self._socket.close()
        for key in list(self._flows):
            self._forget(key)


Door = StreamDoor | DatagramDoor


class Relay:
    """All doors, and the service's orders."""

    def __init__(self, orders: socket.socket) -> None:
        self._loop = Loop()
        self._orders = orders
        self._doors: dict[int, Door] = {}
        self._accepts = True
        self._service_ended = False
        orders.setblocking(False)
        self._loop.watch(orders, _READ, self._obey)

    def run(self) -> None:
        """Serve until the service has ended and nothing goes through any more."""
        ticked = time.monotonic()
        while not self._service_ended or self._loop.load:
            self._loop.turn(_TICK_SECONDS)
            now, accepts = time.monotonic(), self._loop.load < _MAX_CONNECTIONS
            if accepts and now - ticked > _TICK_SECONDS:
                ticked = now
                for door in self._doors.values():
                    door.tick()
            if accepts != self._accepts:
                self._accepts = accepts
                for door in self._doors.values():
                    door.listen(accepts)

    def _obey(self, _: int) -> None:
        try:
            data, descriptors, _flags, _peer = socket.recv_fds(
                self._orders, _MESSAGE, _MAX_DESCRIPTORS
            )
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._leave()
            return
        order = json.loads(data)
        for (door, protocol, *target), descriptor in zip(
            order.get("open", ()), descriptors, strict=True
        ):
            kind = StreamDoor if protocol == "tcp" else DatagramDoor
            one = socket.socket(fileno=descriptor)
            address, port, allow = target
            self._doors[door] = kind(self._loop, one, (address, port), Sources(allow))
        for door in order.get("shut", ()):
            if door in self._doors:
                self._doors.pop(door).shut()
        self._orders.send(b"{}")

    def _leave(self) -> None:
        self._service_ended = True
        self._loop.watch(self._orders, 0, self._obey)
        for door in self._doors.values():
            door.leave()


if __name__ == "__main__":
    Relay(socket.socket(fileno=0)).run()
